package actor_test

import (
	"bytes"
	"context"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

// goroutine is the number of the calling one.
func goroutine() string {
	var buf [64]byte
	_, rest, _ := bytes.Cut(buf[:runtime.Stack(buf[:], false)], []byte(" "))
	id, _, _ := bytes.Cut(rest, []byte(" "))
	return string(id)
}

// within fails the test when f takes for ever.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		t.Fatal(what)
	}
}

func TestSendNowRunsAnIdleActorAndThoseThatItWakesOnTheCallersGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) { // where no worker takes over because the caller has lost its core
		var ran []string // without a lock: it is all one goroutine
		last := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg != "rest" {
				ran = append(ran, goroutine())
			}
			c.Reply("answer", nil)
		})
		first := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg == "rest" {
				c.Reply(nil, nil)
				return
			}
			ran = append(ran, goroutine())
			c.Ask(last, 1, func(v any, err error) { ran = append(ran, goroutine()) })
		})
		ask(t, sys, first, "rest")
		ask(t, sys, last, "rest")
		until(t, func() bool { return atRest(sys, first) && atRest(sys, last) })
		sys.SendNow(first, 1)
		me := goroutine()
		if want := []string{me, me, me}; strings.Join(ran, " ") != strings.Join(want, " ") {
			t.Errorf("ran on goroutines %v, the caller is %s", ran, me)
		}
	})
}

func TestAPromiseThatIsKeptInATurnIsHeardOnTheSameGoroutine(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) { // where no worker takes over because the caller has lost its core
		var ran []string
		var kept actor.Promise
		keeper := spawn(t, sys, func(c *actor.Context, msg any) {
			switch msg {
			case "rest":
				c.Reply(nil, nil)
			case "ask":
				kept = c.Promise()
				c.Send(c.Self(), "keep")
			case "keep":
				if !c.ReplyTo(kept, 1, nil) || c.ReplyTo(kept, 2, nil) || c.ReplyTo(actor.Promise{}, 3, nil) {
					t.Error("not exactly the first answer counts")
				}
			}
		})
		first := spawn(t, sys, func(c *actor.Context, msg any) {
			if msg == "rest" {
				c.Reply(nil, nil)
				return
			}
			c.Ask(keeper, "ask", func(v any, err error) {
				if v != 1 || err != nil {
					t.Errorf("answered %v, %v", v, err)
				}
				ran = append(ran, goroutine())
			})
		})
		ask(t, sys, first, "rest")
		ask(t, sys, keeper, "rest")
		until(t, func() bool { return atRest(sys, first) && atRest(sys, keeper) })
		sys.SendNow(first, 1)
		if me := goroutine(); len(ran) != 1 || ran[0] != me {
			t.Errorf("ran on goroutines %v, the caller is %s", ran, me)
		}
	})
}

func TestAPromiseMayBeKeptInTheTurnOfAnActorThatSharesIt(t *testing.T) {
	sys := newSystem(t)
	var turn sync.Mutex
	var kept actor.Promise
	var of *actor.Context
	shares := func(f actor.Func) actor.Ref {
		ref, err := sys.Spawn(actor.Spec{Turn: &turn, New: func() actor.Actor { return f }})
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	keeper := shares(func(c *actor.Context, _ any) { kept, of = c.Promise(), c })
	other := shares(func(*actor.Context, any) { of.ReplyTo(kept, "late", nil) })
	for range 100 {
		answer := make(chan any, 1)
		go func() {
			v, _ := sys.Ask(t.Context(), keeper, "ask")
			answer <- v
		}()
		for waiting := true; waiting; {
			sys.SendNow(other, 1)
			select {
			case v := <-answer:
				if v != "late" {
					t.Fatalf("answered %v", v)
				}
				waiting = false
			default:
				runtime.Gosched()
			}
		}
	}
}

// atRest tells whether no worker has the actor any more.
func atRest(sys *actor.System, ref actor.Ref) bool { return actor.Resting(sys, ref) }

func until(t *testing.T, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
		runtime.Gosched()
	}
}

func TestSendNowToABusyActorDoesNotWaitForIt(t *testing.T) {
	sys := newSystem(t)
	gate, begun := make(chan struct{}), make(chan struct{})
	var got []any
	all := make(chan struct{})
	ref := spawn(t, sys, func(_ *actor.Context, msg any) {
		if msg == 0 {
			close(begun)
			<-gate
		}
		if got = append(got, msg); len(got) == 4 {
			close(all)
		}
	})
	sys.Send(ref, 0)
	within(t, "it does not begin", begun)
	for i := 1; i < 4; i++ {
		sys.SendNow(ref, i) // would wait for ever here
	}
	close(gate)
	within(t, "they are not handled", all)
	for i, v := range got {
		if v != i {
			t.Fatalf("handled in the order %v", got)
		}
	}
}

func TestAPanicDoesNotReachTheCallerOfSendNow(t *testing.T) {
	sys := newSystem(t)
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		if msg == "panic" {
			panic("planned")
		}
		c.Reply(msg, nil)
	})
	sys.SendNow(ref, "panic")
	if got := ask(t, sys, ref, "still here"); got != "still here" {
		t.Errorf("the actor answers %v", got)
	}
	if n := sys.Stats(); n.Failures != 1 || n.Restarts != 1 {
		t.Errorf("counted %+v", n)
	}
}

func TestAHandlerThatEndsTheGoroutineOfSendNowEndsNothingElse(t *testing.T) {
	sys := newSystem(t)
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		if msg == "exit" {
			runtime.Goexit()
		}
		c.Reply(msg, nil)
	})
	for range 10 {
		var wg sync.WaitGroup
		wg.Go(func() { sys.SendNow(ref, "exit") })
		wg.Wait()
		if got := ask(t, sys, ref, 1); got != 1 {
			t.Fatalf("the actor answers %v", got)
		}
		if sys.Stats().Failures > 4 {
			break // the next one would end it
		}
	}
	if n := sys.Stats().Failures; n == 0 {
		t.Error("no failure was counted")
	}
}

func TestACallerOfSendNowIsNotKeptByABusyActor(t *testing.T) {
	sys := newSystem(t)
	var stop atomic.Bool
	endless := func(c *actor.Context, msg any) {
		if !stop.Load() {
			c.Send(msg.(actor.Ref), c.Self())
		}
	}
	alone := spawn(t, sys, func(c *actor.Context, _ any) { endless(c, c.Self()) })
	a, b := spawn(t, sys, endless), spawn(t, sys, endless)
	done := make(chan struct{})
	go func() {
		defer close(done)
		sys.SendNow(alone, alone)
		sys.SendNow(a, b)
	}()
	within(t, "SendNow does not return", done)
	stop.Store(true)
}

func TestWhomAHandlerHasWokenThatBlocksTheCallerOfSendNowIsRunByOthers(t *testing.T) {
	sys := newSystem(t)
	got := make(chan struct{})
	to := spawn(t, sys, func(*actor.Context, any) { close(got) })
	ref := spawn(t, sys, func(c *actor.Context, _ any) {
		c.Send(to, 1)
		<-got
	})
	done := make(chan struct{})
	go func() { defer close(done); sys.SendNow(ref, 1) }()
	within(t, "it waits for a handler that blocks", done)
}

func TestAnActorThatIsStuckInSendNowIsNamedWithItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys, log := newLogged(t)
		gate := make(chan struct{})
		stuck := spawnHooked(t, sys, "stuck", hooked{receive: func(*actor.Context, any) { standInHandler(gate) }})
		synctest.Wait()
		go sys.SendNow(stuck, 1)
		pass(7 * time.Second)
		s := log.String()
		if n := strings.Count(s, "handler does not return"); n != 1 || !strings.Contains(s, "actor=stuck") || !strings.Contains(s, "standInHandler") {
			t.Errorf("told %d times: %s", n, s)
		}
		close(gate)
		pass(2 * time.Second)
		if s := log.String(); !strings.Contains(s, "handler has returned") {
			t.Error(s)
		}
	})
}

func TestSendNowToNobodyIsADeadLetter(t *testing.T) {
	sys := newSystem(t)
	ref := spawn(t, sys, func(*actor.Context, any) {})
	sys.Stop(ref, nil)
	within(t, "it does not end", sys.Ended(ref))
	sys.SendNow(ref, 1)
	sys.SendNow(actor.Ref{}, 2)
	if n := sys.Stats().DeadLetters; n != 2 {
		t.Errorf("%d dead letters", n)
	}
}

func TestSendNowLeavesItToASchedulerWhoRuns(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		handled := false
		ref := k.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(func(*actor.Context, any) { handled = true }) }})
		k.SendNow(ref, 1)
		if handled {
			t.Error("it has run before the test said so")
		}
		k.Settle()
		if !handled {
			t.Error("it has not run")
		}
	})
}

func TestActorsOfOneTurnNeverRunAtATimeWithSendNow(t *testing.T) {
	sys := newSystem(t)
	var turn sync.Mutex
	n := 0 // guarded by the turn
	refs := make([]actor.Ref, 4)
	for i := range refs {
		ref, err := sys.Spawn(actor.Spec{Turn: &turn, New: func() actor.Actor { return actor.Func(func(*actor.Context, any) { n++ }) }})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = ref
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 1000 {
				sys.SendNow(refs[i%len(refs)], 1)
			}
		})
	}
	wg.Wait()
	until(t, func() bool { turn.Lock(); defer turn.Unlock(); return n == 4000 })
}

func BenchmarkSendNow(b *testing.B) {
	sys := actor.New(actor.Config{})
	defer func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	}()
	made := func(f actor.Func) actor.Ref {
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return f }})
		if err != nil {
			b.Fatal(err)
		}
		return ref
	}
	var done atomic.Int64
	const clients = 64 // one alone may be another worker's for a while
	for name, f := range map[string]func(agent actor.Ref) actor.Func{
		"ToOne": func(actor.Ref) actor.Func { return func(*actor.Context, any) { done.Add(1) } },
		"AskingAnotherOne": func(agent actor.Ref) actor.Func {
			return func(c *actor.Context, msg any) { c.Ask(agent, msg, func(any, error) { done.Add(1) }) }
		},
	} {
		var refs [clients]actor.Ref
		for i := range refs {
			refs[i] = made(f(made(func(c *actor.Context, msg any) { c.Reply(msg, nil) })))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				before := done.Load()
				sys.SendNow(refs[n%clients], nil)
				for done.Load() == before {
					runtime.Gosched() // a worker has taken it over
				}
			}
		})
	}
}
