package actortest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// Config is how a Kit is to be. The zero Config works.
type Config struct {
	// System is what the system is made with. Its Scheduler is the kit's business. Its Log is by default the test's own, and then Kit.Logged has it too.
	System actor.Config
	// Dispatch decides who handles its next message, and when. Default Workers.
	Dispatch Dispatch
	// Seed is where Shuffled takes its order from: the same seed, the same order.
	Seed uint64
	// Within is how much fake time an expectation lets pass before it fails. Default 10 s, which is more than the deadline of a request. See Probe.Within.
	Within time.Duration
	// MayPanic is for tests of failures. Without it a test fails in which a handler has panicked, whatever became of that.
	MayPanic bool
	// NoDeadLetters fails the test if there is a dead letter before its end.
	NoDeadLetters bool
}

// TB is what a Kit needs of a test: a *testing.T has it, and so has a *rapid.T.
type TB interface {
	Helper()
	Name() string
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
	Failed() bool
	Cleanup(f func())
}

// Kit is a system of actors of one test's own, in fake time. It belongs to the goroutine of the test: other goroutines may use the System in it, and
// nothing else, and actors use neither.
type Kit struct {
	*actor.System

	t       TB
	cfg     Config
	start   time.Time
	owner   string          // the goroutine of the test
	bubble  string          // of which it is
	before  map[string]bool // goroutines that were there before the kit
	changed chan struct{}   // something may have come for which somebody waits
	log     *testLog
	turns   *turns // nil with Workers
	letters letters

	mu    sync.Mutex
	names map[actor.Ref]string // also of those that have ended
}

// Run runs a test with a Kit of the zero Config.
func Run(t *testing.T, test func(t *testing.T, k *Kit)) {
	t.Helper()
	Config{}.Run(t, test)
}

// Explore runs a test once for each of so many seeds, see [Config.Explore].
func Explore(t *testing.T, seeds int, test func(t *testing.T, k *Kit)) {
	t.Helper()
	Config{}.Explore(t, seeds, test)
}

// Run runs a test in a bubble of [synctest] with a system of its own, which is shut down when the test is over. The test must use the *testing.T that it is
// given, not the one outside. It fails when an actor does not stop, or a goroutine that it has begun does not end; when a handler has panicked, unless
// MayPanic; and when nothing can ever go on.
func (cfg Config) Run(t *testing.T, test func(t *testing.T, k *Kit)) {
	t.Helper()
	var kit atomic.Pointer[Kit]
	defer func() {
		if r := recover(); r != nil {
			reportStuck(t, kit.Load(), r)
		}
	}()
	synctest.Test(t, func(t *testing.T) {
		k := cfg.New(t)
		kit.Store(k)
		test(t, k)
	})
}

// Explore runs a test as one subtest for each of so many seeds, Seed and those that follow it, with Shuffled as its Dispatch, until one fails. The subtests
// are called seed=0 and so on; -run picks one.
func (cfg Config) Explore(t *testing.T, seeds int, test func(t *testing.T, k *Kit)) {
	t.Helper()
	cfg.Dispatch = Shuffled
	for range seeds {
		name := fmt.Sprintf("seed=%d", cfg.Seed)
		if !t.Run(name, func(t *testing.T) { cfg.Run(t, test) }) {
			pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$/^" + name + "$"
			t.Fatalf("actortest: fails with seed %d; to run that alone: go test -run '%s'", cfg.Seed, pattern)
		}
		cfg.Seed++
	}
}

// New makes a Kit for a test that runs in a bubble of [synctest] already, and has the test's Cleanup end it.
func (cfg Config) New(t TB) *Kit {
	t.Helper()
	if cfg.Within <= 0 {
		cfg.Within = 10 * time.Second
	}
	self := goroutine()
	k := &Kit{t: t, cfg: cfg, start: time.Now(), owner: self.id, bubble: self.bubble, changed: make(chan struct{}, 1), names: map[actor.Ref]string{}}
	if k.bubble == "" {
		t.Fatalf("actortest: a Kit must be made inside of synctest.Test, which Run sees to")
	}
	k.before = map[string]bool{}
	for _, g := range goroutinesOf(k.bubble) {
		k.before[g.id] = true
	}
	k.log = newTestLog(t, k.start)
	if cfg.System.Log == nil {
		cfg.System.Log = slog.New(k.log.handler())
	}
	cfg.System.Scheduler = nil
	if cfg.Dispatch != Workers {
		k.turns = newTurns(k, cfg.Seed)
		cfg.System.Scheduler = k.turns
	}
	k.System = actor.New(cfg.System)
	t.Cleanup(k.end)
	k.letters.k = k
	ref := k.Spawn(actor.Spec{Name: "actortest.dead-letters", New: func() actor.Actor { return &k.letters }})
	k.atOnce(ref)
	return k
}

// Spawn starts an actor and fails the test if it can't be started. The System's own returns the error.
func (k *Kit) Spawn(spec actor.Spec) actor.Ref {
	k.t.Helper()
	ref, err := k.System.Spawn(spec)
	if err != nil {
		k.t.Fatalf("actortest: %v", err)
	}
	k.nameOf(ref) // so that it is known later
	return ref
}

// Ask asks an actor from outside of all actors, as System.Ask does, and fails the test when the answer is an error or no T.
func Ask[T any](k *Kit, to actor.Ref, msg any) T {
	k.t.Helper()
	v, err := k.Ask(context.Background(), to, msg)
	if err != nil {
		k.t.Fatalf("actortest: ask %s of %s: %v", describe(msg), k.nameOf(to), err)
	}
	answer, ok := as[T](v)
	if !ok {
		k.t.Fatalf("actortest: ask %s of %s: expected %s as the answer, got %s", describe(msg), k.nameOf(to), typeText[T](), describe(v))
	}
	return answer
}

// Logged is what the system has logged so far, as lines of text that begin with the fake time since the kit was made.
func (k *Kit) Logged() string { return k.log.String() }

// endWithin is the fake time that the actors have for their end. It is as long as many StopTimeouts, one after the other, may take.
const endWithin = 10 * time.Minute

// end shuts the system down and says what has gone wrong.
func (k *Kit) end() {
	k.t.Helper()
	if id := goroutine().id; id != k.owner { // the cleanup may be another one's
		k.owner = id
	}
	if k.cfg.NoDeadLetters {
		k.checkDeadLetters()
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := k.Shutdown(ctx); err != nil {
		k.t.Errorf("actortest: %v", err)
	} else {
		k.checkGoroutines()
	}
	if n := k.Stats().Failures; n > 0 && !k.cfg.MayPanic {
		k.t.Errorf("actortest: %d failures of handlers, see the log; Config.MayPanic is for tests that mean them", n)
	}
	if k.t.Failed() && k.turns != nil {
		k.t.Logf("actortest: %s", k.turns.story())
	}
	k.log.close()
}

// nameOf is how failures call an actor.
func (k *Kit) nameOf(r actor.Ref) string {
	if r.IsZero() {
		return "outside"
	}
	name := ""
	if i, ok := k.Inspect(r); ok {
		name = i.Name
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if name != "" {
		k.names[r] = name
	} else if name = k.names[r]; name == "" {
		name = r.String()
	}
	return name
}

// wake has whoever waits look again. Any goroutine may call it.
func (k *Kit) wake() {
	select {
	case k.changed <- struct{}{}:
	default:
	}
}
