package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor"
)

// plan is what an actor of the stress test does with a message, and with what it passes on. The actors' code is this file's; the plans are random.
type plan struct {
	Do     string
	To     int // an actor of the world
	Wait   time.Duration
	Then   *plan // what the next actor does, or this one afterwards
	Second bool  // something is done twice that counts once
}

var verbs = []string{
	"reply", "ask", "ask", "go", "after", "forward", "promise", "panic", "panic later", "stop self", "stop", "child", "watch", "unwatch", "silent", "send",
	"detached", "drain", "hold", "every", "resume", "kill", "exit", "cancel", "all", "first", "quorum", "publish", "subscribe", "unsubscribe",
}

func genPlan(t *rapid.T, depth int) *plan {
	p := &plan{
		Do: rapid.SampledFrom(verbs).Draw(t, "do"), To: rapid.IntRange(0, worldSize-1).Draw(t, "to"),
		Wait: time.Duration(rapid.IntRange(0, 3000).Draw(t, "wait")) * time.Microsecond, Second: rapid.Bool().Draw(t, "second"),
	}
	if depth > 0 {
		p.Then = genPlan(t, depth-1)
	} else {
		p.Then = &plan{Do: "reply"}
	}
	return p
}

const worldSize = 6

// job is a request or a message of the stress test.
type job struct {
	id   int64
	plan *plan
}

// numbered is a message whose order counts: n grows by one with each message from the sender to this receiver.
type numbered struct{ sender, receiver, n int }

type world struct {
	sys   *actor.System
	mu    sync.Mutex
	refs  [worldSize]actor.Ref
	made  int
	ids   atomic.Int64
	wrong atomic.Pointer[string]
}

func (w *world) fail(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	w.wrong.CompareAndSwap(nil, &s)
}

func (w *world) ref(i int) actor.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refs[i]
}

// mind is a new one, whose number no other has: what it sends is told apart by that.
func (w *world) mind() *mind {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.made++
	return &mind{w: w, number: w.made, seen: map[[2]int]int{}, sent: map[actor.Ref]int{}}
}

// spawn puts a new actor into a place of the world; who was there goes on until it is stopped.
func (w *world) spawn(i int) {
	ref, err := w.sys.Spawn(w.mind().spec())
	if err != nil {
		w.fail("spawn: %v", err)
		return
	}
	w.mu.Lock()
	w.refs[i] = ref
	w.mu.Unlock()
}

// mind is what a tested actor keeps over its lives. It has no locks: the race detector sees whether two workers ever run one actor.
type mind struct {
	w      *world
	number int
	seen   map[[2]int]int
	sent   map[actor.Ref]int
	ended  bool
}

type tested struct {
	*mind
	watches map[actor.Ref]int
}

func (m *mind) spec() actor.Spec {
	spec := actor.Spec{
		New:         func() actor.Actor { return &tested{mind: m, watches: map[actor.Ref]int{}} },
		Supervision: actor.Supervision{Limit: m.number%4 - 1, Backoff: time.Millisecond, Escalate: m.number%3 == 0},
		StopTimeout: 30 * time.Millisecond,
		AllForOne:   m.number%2 == 0,
		Serial:      m.number%4 == 3,
	}
	if m.number%3 == 1 {
		spec.Mailbox = actor.Mailbox{Limit: 20, Policy: actor.Policy(m.number / 3 % 4), Key: func(msg any) any {
			if n, ok := msg.(numbered); ok {
				return n.sender
			}
			return nil
		}}
	}
	return spec
}

func (a *tested) Inherit(from actor.Actor, failure error) {
	if from.(*tested).mind != a.mind || failure == nil {
		a.w.fail("actor %d inherits from a stranger", a.number)
	}
}

func (a *tested) Stop(c *actor.Context, _ error) {
	if a.ended {
		a.w.fail("actor %d was stopped twice", a.number)
	}
	a.ended = true
	if a.number%5 == 0 {
		panic("planned, in Stop")
	}
	c.Go(func(context.Context) (any, error) { return 1, nil }, func(any, error) {})
}

func (a *tested) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case job:
		if a.ended {
			a.w.fail("actor %d got a message after its Stop", a.number)
		}
		a.do(c, m.plan, m.id, func(v any, err error) { a.reply(c, m.id, v, err) })
	case numbered:
		key := [2]int{m.sender, m.receiver}
		if last := a.seen[key]; m.n <= last {
			a.w.fail("actor %d: message %d of sender %v after message %d", a.number, m.n, key, last)
		}
		a.seen[key] = m.n
	case actor.Terminated:
		if a.watches[m.Ref]--; a.watches[m.Ref] < 0 {
			a.w.fail("actor %d: told twice, or without a watch, that %v ended", a.number, m.Ref)
		}
	}
}

// reply answers with the id of the request, so that an answer that goes astray is seen.
func (a *tested) reply(c *actor.Context, id int64, v any, err error) {
	if got, ok := v.(int64); ok && got != 0 {
		v = id
	}
	c.Reply(v, err)
}

// do carries out a plan as part of request id and calls then at its end, if it has one.
func (a *tested) do(c *actor.Context, p *plan, id int64, then func(any, error)) {
	switch p.Do {
	case "reply":
		c.Reply(id, nil)
		if p.Second {
			c.Reply(id, nil)
		}
	case "ask", "child":
		a.ask(c, p, then)
	case "go":
		c.Go(func(context.Context) (any, error) {
			if p.Second {
				panic("work")
			}
			return int64(1), nil
		}, a.once(then))
	case "after":
		timer := c.After(p.Wait, func() { a.do(c, p.Then, id, then) })
		if p.Second && timer.Cancel() {
			c.Reply(nil, errPlanned)
		}
	case "detached":
		c.Detached(func() { c.After(p.Wait, func() { a.do(c, p.Then, id, func(any, error) {}) }) })
		then(int64(1), nil)
	case "forward":
		c.Forward(a.w.ref(p.To)) // the same plan there: it goes on until somebody else is in that place, or in a circle
	case "promise":
		promise := c.Promise()
		go func() {
			first := promise.Reply(id, nil)
			if second := promise.Reply(id, nil); first && second {
				a.w.fail("a promise was kept twice")
			}
		}()
	case "panic":
		panic("planned")
	case "exit":
		runtime.Goexit()
	case "panic later":
		c.After(p.Wait, func() { panic("planned, later") })
	default:
		a.doSmall(c, p, then)
	}
}

func (a *tested) doSmall(c *actor.Context, p *plan, then func(any, error)) {
	to := a.w.ref(p.To)
	switch p.Do {
	case "stop self":
		c.Stop(c.Self(), errPlanned)
	case "stop":
		c.Stop(to, errPlanned)
	case "drain":
		c.Drain(to, p.Wait)
	case "watch":
		if a.watches[to] == 0 {
			a.watches[to]++
		}
		c.Watch(to)
		c.Watch(to)
	case "unwatch":
		a.watches[to] = 0
		c.Unwatch(to)
	case "every":
		n := 0
		var timer *actor.Timer
		timer = c.Every(time.Millisecond, func() {
			if n++; n > 2 {
				timer.Cancel()
			}
		})
	case "kill":
		c.Kill(to, errPlanned)
	case "publish":
		a.sent[actor.Ref{}]++
		c.Publish("topic", numbered{a.number, -1, a.sent[actor.Ref{}]})
	case "subscribe":
		c.Subscribe("topic")
	case "unsubscribe":
		c.Unsubscribe("topic")
	case "cancel":
		call := c.Ask(to, job{a.w.ids.Add(1), p.Then}, func(any, error) { a.w.fail("actor %d: a request was answered that it gave up", a.number) })
		if call.Cancel() != true || call.Cancel() {
			a.w.fail("actor %d can't give up its request", a.number)
		}
	case "all", "first", "quorum":
		a.askMany(c, p, then)
		return
	case "resume":
		c.Resume(func() { then(int64(1), nil) })()
		return
	case "hold":
		release := c.Hold()
		go func() { release(); release() }()
	case "send":
		for range 5 {
			a.sent[to]++
			c.Send(to, numbered{a.number, int(to.ID()), a.sent[to]})
		}
	case "silent":
		return
	}
	then(int64(1), nil)
}

func (a *tested) ask(c *actor.Context, p *plan, then func(any, error)) {
	to := a.w.ref(p.To)
	if p.Do == "child" {
		child, err := c.Spawn(a.w.mind().spec())
		if err != nil {
			then(nil, err)
			return
		}
		to = child
	}
	id := a.w.ids.Add(1)
	check := a.once(func(v any, err error) {
		if err == nil && v != id {
			a.w.fail("request %d was answered with %v", id, v)
		}
		then(v, err)
	})
	if p.Second {
		c.AskFor(to, job{id, p.Then}, p.Wait, check)
		return
	}
	c.Ask(to, job{id, p.Then}, check)
}

// askMany asks all of the world. The answers are those of one request, whose id each answers with.
func (a *tested) askMany(c *actor.Context, p *plan, then func(any, error)) {
	id := a.w.ids.Add(1)
	to := make([]actor.Ref, worldSize)
	for i := range to {
		to[i] = a.w.ref(i)
	}
	check := func(answers []actor.Answer, most int) {
		if len(answers) > most {
			a.w.fail("actor %d: %d answers, at most %d may come", a.number, len(answers), most)
		}
		for _, v := range answers {
			if v.Err == nil && v.Value != id {
				a.w.fail("request %d to many was answered with %v", id, v.Value)
			}
		}
	}
	msg := job{id, p.Then}
	switch p.Do {
	case "all":
		once := a.once(then)
		c.AskAll(to, msg, func(answers []actor.Answer) { check(answers, worldSize); once(int64(1), nil) })
	case "first":
		once := a.once(then)
		c.AskFirst(to, msg, func(v actor.Answer, err error) { check([]actor.Answer{v}[:btoi(err == nil)], 1); once(int64(1), err) })
	default:
		once := a.once(then)
		c.AskQuorum(to, 3, msg, func(v []actor.Answer, err error) { check(v, 3); once(int64(1), err) })
	}
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// once checks that a continuation runs once at most.
func (a *tested) once(then func(any, error)) func(any, error) {
	called := false
	return func(v any, err error) {
		if called {
			a.w.fail("actor %d: a continuation ran twice", a.number)
		}
		called = true
		then(v, err)
	}
}

var errPlanned = errors.New("planned")

// defined tells whether an error is one that the runtime, or a plan, may answer with.
func defined(err error) bool {
	for _, e := range []error{
		actor.ErrNoActor, actor.ErrStopped, actor.ErrFailed, actor.ErrDeadline, actor.ErrOverloaded, actor.ErrCycle, actor.ErrCanceled, actor.ErrNoQuorum, errPlanned,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// step is one thing that a goroutine outside of all actors does.
type step struct {
	Do   string
	To   int
	Plan *plan
	Wait time.Duration
}

func genStep(t *rapid.T) step {
	return step{
		Do:   rapid.SampledFrom([]string{"ask", "ask", "ask", "send", "send now", "burst", "burst now", "cancelled", "stop", "kill", "spawn", "look"}).Draw(t, "step"),
		To:   rapid.IntRange(0, worldSize-1).Draw(t, "to"),
		Plan: genPlan(t, rapid.IntRange(0, 4).Draw(t, "depth")),
		Wait: time.Duration(rapid.IntRange(0, 5000).Draw(t, "wait")) * time.Microsecond,
	}
}

// drive does the steps of one goroutine.
func (w *world) drive(number int, steps []step) {
	sent := map[actor.Ref]int{}
	for _, s := range steps {
		to := w.ref(s.To)
		switch s.Do {
		case "ask", "cancelled":
			id := w.ids.Add(1)
			ctx, cancel := context.Background(), context.CancelFunc(func() {})
			if s.Do == "cancelled" {
				ctx, cancel = context.WithTimeout(ctx, s.Wait)
			}
			v, err := w.sys.Ask(ctx, to, job{id, s.Plan})
			cancel()
			if err == nil && v != id {
				w.fail("request %d was answered with %v", id, v)
			}
			if err != nil && !defined(err) {
				w.fail("request %d: undefined error %v", id, err)
			}
		case "send":
			w.sys.Send(to, job{w.ids.Add(1), s.Plan})
		case "send now":
			var guest sync.WaitGroup
			guest.Go(func() { w.sys.SendNow(to, job{w.ids.Add(1), s.Plan}) }) // the plan may end the goroutine
			guest.Wait()
		case "burst now":
			var guest sync.WaitGroup
			guest.Go(func() {
				for i := range 200 {
					sent[to]++
					send := w.sys.SendNow
					if i%3 == 0 {
						send = w.sys.Send
					}
					send(to, numbered{-number, int(to.ID()), sent[to]})
				}
			})
			guest.Wait()
		case "burst":
			n := 200
			if s.Wait%(7*time.Microsecond) == 0 {
				n = 3000 // more than a block
			}
			for range n {
				sent[to]++
				w.sys.Send(to, numbered{-number, int(to.ID()), sent[to]})
			}
		case "stop":
			w.sys.Stop(to, errPlanned)
		case "kill":
			w.sys.Kill(to, errPlanned)
		case "look":
			for i := range w.sys.Actors() {
				if i.Waiting < 0 || i.Waiting > 1e6 {
					w.fail("%+v", i)
				}
			}
			if remove, err := w.sys.Tap(to, func(actor.Inbound) {}); err == nil && s.Wait%2 == 0 {
				remove()
			}
		case "spawn":
			w.sys.Stop(to, errPlanned)
			w.spawn(s.To)
		}
	}
}

func TestNothingIsLostDoubledOrLeftWhateverActorsDo(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var tracer actor.Tracer
		if rapid.Bool().Draw(rt, "traced") {
			tracer = &spans{}
		}
		w := &world{sys: actor.New(actor.Config{
			CallTimeout: 30 * time.Millisecond, Blocking: 4, BlockingQueue: 16, Log: slog.New(slog.DiscardHandler), Tracer: tracer,
		})}
		for i := range worldSize {
			w.spawn(i)
		}
		drivers := make([][]step, rapid.IntRange(1, 6).Draw(rt, "drivers"))
		for i := range drivers {
			drivers[i] = rapid.SliceOfN(rapid.Custom(genStep), 1, 12).Draw(rt, "steps")
		}
		var wg sync.WaitGroup
		for i, steps := range drivers {
			wg.Go(func() { w.drive(i+1, steps) })
		}
		wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := w.sys.Shutdown(ctx); err != nil {
			rt.Fatal(err)
		}
		if n := w.sys.Stats().Actors; n != 0 {
			rt.Fatalf("%d actors are left", n)
		}
		if wrong := w.wrong.Load(); wrong != nil {
			rt.Fatal(*wrong)
		}
	})
}
