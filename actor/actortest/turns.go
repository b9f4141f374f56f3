package actortest

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// Dispatch decides who handles its next message, and when.
type Dispatch uint8

const (
	// Workers leaves that to the runtime, as it is outside of tests: several actors run at a time, in any order.
	Workers Dispatch = iota
	// Manual has nobody run before the test says so, with Step, StepOf or Settle. Only probes take what they get at once, and what waits for actors by itself
	// (Spawn, System.Ask, the end of the test) lets them run for as long as it waits. Expectations look at what is there and let no time pass.
	Manual
	// Shuffled has one actor run at a time, each for one message, in an order that is drawn from Seed, whenever the test waits for anything.
	Shuffled
)

// turns runs one actor at a time, in the goroutine of the test.
type turns struct {
	k        *Kit
	seed     uint64
	shuffled bool
	draw     *rand.Rand

	mu     sync.Mutex
	ready  []turn // in order: of their windows, in a window of their ids
	window uint64
	busy   int // others than the test run; while none do, each one that gets ready is in a window of its own
	first  map[actor.Ref]struct{}

	// Of the goroutine of the test.
	known map[actor.Ref]struct{} // who has run before
	trace trace
	runs  int // since now
	now   time.Time
	byRef map[actor.Ref]int // the same, for each actor
}

// turn is an actor that has something to do.
type turn struct {
	actor.Runnable
	ref    actor.Ref
	window uint64
}

func newTurns(k *Kit, seed uint64) *turns {
	return &turns{
		k: k, seed: seed, shuffled: k.cfg.Dispatch == Shuffled, draw: rand.New(rand.NewPCG(seed, 0)),
		first: map[actor.Ref]struct{}{}, known: map[actor.Ref]struct{}{}, byRef: map[actor.Ref]int{},
	}
}

// Ready is called by the runtime.
//
// Several actors that become ready while one runs, or while goroutines run of which nobody knows the order, are sorted by their ids. Else the order would
// depend on what the runtime itself does not promise, and not be the same in each run.
func (s *turns) Ready(r actor.Runnable) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.busy == 0 {
		s.window++
	}
	s.insert(turn{Runnable: r, ref: r.Ref(), window: s.window})
	s.k.wake()
}

// insert puts t in its place. The lock is held.
func (s *turns) insert(t turn) {
	if s.shuffled {
		t.window = 0 // the draw is among all
	}
	at, _ := slices.BinarySearchFunc(s.ready, t, func(a, b turn) int {
		return cmp.Or(cmp.Compare(a.window, b.window), cmp.Compare(a.ref.ID(), b.ref.ID()))
	})
	s.ready = slices.Insert(s.ready, at, t)
}

// leave is called before others than the test run, and enter when they have.
func (s *turns) leave() { s.newWindow(1) }
func (s *turns) enter() { s.newWindow(-1) }

func (s *turns) newWindow(busy int) {
	s.mu.Lock()
	s.window++
	s.busy += busy
	s.mu.Unlock()
}

// Await is called by whoever waits for something in the system. The test lets actors run meanwhile; other goroutines wait for the test to do so.
func (s *turns) Await(done <-chan struct{}) {
	if goroutine().id != s.k.owner {
		<-done
		return
	}
	over := func() bool {
		select {
		case <-done:
			return true
		default:
			return false
		}
	}
	for !over() {
		s.k.rest()
		if over() {
			return
		}
		if t, ok := s.next(nil, true); ok {
			s.run(t)
			continue
		}
		select {
		case <-done:
		case <-s.k.changed:
		}
	}
}

// next takes out who runs next among those that may. An actor that has been made just now goes first for those who wait, which is Spawn, mostly.
func (s *turns) next(may func(actor.Ref) bool, newest bool) (turn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shuffled {
		return s.drawn(may)
	}
	if n := len(s.ready); n > 0 && newest {
		if _, begun := s.known[s.ready[n-1].ref]; !begun {
			return s.take(n - 1), true
		}
	}
	for i, t := range s.ready {
		if may == nil || may(t.ref) {
			return s.take(i), true
		}
	}
	return turn{}, false
}

// drawn takes out one of those that may run. The lock is held.
func (s *turns) drawn(may func(actor.Ref) bool) (turn, bool) {
	var among []int
	for i, t := range s.ready {
		if may == nil || may(t.ref) {
			among = append(among, i)
		}
	}
	if len(among) == 0 {
		return turn{}, false
	}
	return s.take(among[s.draw.IntN(len(among))]), true
}

// take takes out the one at i. The lock is held.
func (s *turns) take(i int) turn {
	t := s.ready[i]
	s.ready = slices.Delete(s.ready, i, i+1)
	return t
}

func (s *turns) takeAtOnce() (turn, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, t := range s.ready {
		if _, ok := s.first[t.ref]; ok {
			return s.take(i), true
		}
	}
	return turn{}, false
}

func (s *turns) setAtOnce(ref actor.Ref) {
	s.mu.Lock()
	s.first[ref] = struct{}{}
	s.mu.Unlock()
}

// run has an actor handle one message.
func (s *turns) run(t turn) {
	s.k.t.Helper()
	now := time.Now()
	s.trace.begin(since(s.k.start, now), s.k.nameOf(t.ref))
	s.leave()
	more := true // also for an actor that ends the goroutine of the test, as t.FailNow does
	defer func() {
		s.enter()
		s.trace.end()
		if !more {
			return
		}
		s.mu.Lock()
		s.window++
		t.window = s.window
		s.insert(t)
		s.mu.Unlock()
	}()
	s.count(t.ref, now)
	if _, begun := s.known[t.ref]; !begun {
		s.known[t.ref] = struct{}{}
		_, _ = s.k.Tap(t.ref, func(in actor.Inbound) { s.trace.message(s.k, in) }) // one that has ended has nothing to show
	}
	more = t.Step()
}

// maxRuns is how many messages are handled at one moment before the test is told that there is no end.
const maxRuns = 200_000

// count fails the test when there is no end.
func (s *turns) count(ref actor.Ref, now time.Time) {
	s.k.t.Helper()
	if !now.Equal(s.now) {
		s.now, s.runs = now, 0
		clear(s.byRef)
	}
	s.runs++
	s.byRef[ref]++
	if s.runs <= maxRuns {
		return
	}
	s.runs = 0
	busiest := ref
	for other, n := range s.byRef {
		if n > s.byRef[busiest] {
			busiest = other
		}
	}
	s.k.t.Fatalf("actortest: the actors do not come to rest: %d messages and no time has passed; most are for %s (%d)",
		maxRuns, s.k.nameOf(busiest), s.byRef[busiest])
}

// Ready are the actors that have something to do, those first that have waited longest. With Shuffled the order tells nothing. It is empty with Workers.
func (k *Kit) Ready() []actor.Ref {
	k.t.Helper()
	if k.turns == nil {
		return nil
	}
	k.checkOwner()
	k.rest()
	k.turns.mu.Lock()
	defer k.turns.mu.Unlock()
	refs := make([]actor.Ref, 0, len(k.turns.ready))
	for _, t := range k.turns.ready {
		refs = append(refs, t.ref)
	}
	return refs
}

// Step has the actor that has waited longest, or with Shuffled the one that is drawn, handle one message, or what the runtime has told it: to start, to stop,
// that a timer is due. It tells whether there was one. With Workers it fails the test.
func (k *Kit) Step() bool {
	k.t.Helper()
	k.mustTakeTurns("Step")
	k.rest()
	ran := k.runOne(nil)
	k.rest()
	return ran
}

// StepOf is Step of this actor. It fails the test when the actor has nothing to do.
func (k *Kit) StepOf(ref actor.Ref) {
	k.t.Helper()
	k.mustTakeTurns("StepOf")
	k.rest()
	if !k.runOne(func(r actor.Ref) bool { return r == ref }) {
		k.t.Fatalf("actortest: step of %s: it has nothing to do; ready: %s", k.nameOf(ref), k.turns.readyNames())
	}
	k.rest()
}

func (k *Kit) mustTakeTurns(what string) {
	k.t.Helper()
	if k.turns == nil {
		k.t.Fatalf("actortest: %s needs Config.Dispatch to be Manual or Shuffled", what)
	}
	k.checkOwner()
}

func (s *turns) readyNames() string {
	s.mu.Lock()
	refs := make([]actor.Ref, 0, len(s.ready))
	for _, t := range s.ready {
		refs = append(refs, t.ref)
	}
	s.mu.Unlock()
	if len(refs) == 0 {
		return "nobody"
	}
	names := make([]string, 0, len(refs))
	for _, r := range refs {
		names = append(names, s.k.nameOf(r))
	}
	return strings.Join(names, ", ")
}

// story is what has happened, for a test that has failed.
func (s *turns) story() string {
	what := "Manual"
	if s.shuffled {
		what = fmt.Sprintf("Shuffled with seed %d", s.seed)
	}
	lines := s.trace.last(tellSteps)
	return fmt.Sprintf("%s; the last %d of %d steps:\n\t%s", what, len(lines), s.trace.count, strings.Join(lines, "\n\t"))
}
