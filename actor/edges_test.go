package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// hooked is an actor of functions; those that are nil do nothing.
type hooked struct {
	start   func(c *actor.Context) error
	receive actor.Func
	stop    func(c *actor.Context, reason error)
}

func (h *hooked) Start(c *actor.Context) error {
	if h.start == nil {
		return nil
	}
	return h.start(c)
}

func (h *hooked) Receive(c *actor.Context, msg any) {
	if h.receive != nil {
		h.receive(c, msg)
	}
}

func (h *hooked) Stop(c *actor.Context, reason error) {
	if h.stop != nil {
		h.stop(c, reason)
	}
}

func spawnHooked(t *testing.T, sys *actor.System, name string, h hooked) actor.Ref {
	t.Helper()
	ref, err := sys.Spawn(actor.Spec{
		Name: name, New: func() actor.Actor { return &h }, Supervision: actor.Supervision{Backoff: time.Millisecond}, StopTimeout: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// ended waits for the end of an actor and returns the reason.
func ended(t *testing.T, sys *actor.System, ref actor.Ref) error {
	t.Helper()
	told := make(chan error, 1)
	watcher, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
		return &hooked{
			start: func(c *actor.Context) error { c.Watch(ref); return nil },
			receive: func(_ *actor.Context, msg any) {
				told <- msg.(actor.Terminated).Reason
			},
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer sys.Stop(watcher, nil)
	select {
	case reason := <-told:
		return reason
	case <-time.After(20 * time.Second):
		t.Fatalf("%v has not ended", ref)
		return nil
	}
}

func TestARefOfNobodyOrOfAnotherNodeHasItsError(t *testing.T) {
	sys, log := newLogged(t)
	_, err := sys.Ask(t.Context(), actor.Ref{}, 1)
	wantErr(t, err, actor.ErrNoActor)
	_, err = sys.Ask(t.Context(), sys.RefOf(1<<53-1), 1)
	wantErr(t, err, actor.ErrNoActor)
	sys.Send(actor.Ref{}, 1)
	sys.Stop(actor.Ref{}, nil)
	if n := sys.Stats().DeadLetters; n != 1 || !strings.Contains(log.String(), "nobody") {
		t.Fatalf("%d dead letters, log %s", n, log)
	}
	if err := ended(t, sys, actor.Ref{}); !errors.Is(err, actor.ErrNoActor) {
		t.Fatalf("watching nobody: %v", err)
	}
	other := newSystem(t)
	wantErr(t, other.Register("x", spawn(t, sys, echo)), actor.ErrNoActor)
	if err := sys.Register("", spawn(t, sys, echo)); err == nil {
		t.Fatal("the empty name was registered")
	}
	spawn(t, sys, echo) // the empty name is still free
}

func TestAnAnswerAfterTheDeadlineIsDroppedQuietly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // or the deadline may pass before the handler begins, which then never does
		sys, log := newLogged(t)
		late := make(chan bool)
		answer := make(chan struct{})
		slow := spawn(t, sys, func(c *actor.Context, _ any) {
			promise := c.Promise()
			go func() {
				<-answer
				late <- promise.Open() || promise.Reply(1, nil)
			}()
		})
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		_, err := sys.Ask(ctx, slow, 1)
		wantErr(t, err, actor.ErrDeadline)
		wantErr(t, err, context.DeadlineExceeded)
		close(answer)
		if <-late {
			t.Fatal("an answer after the deadline was taken")
		}
		if strings.Contains(log.String(), "answered twice") {
			t.Fatal(log.String())
		}
	})
}

func TestAnAskGivenUpByItsContextSaysSo(t *testing.T) {
	sys := newSystem(t)
	ctx, cancel := context.WithCancel(t.Context())
	silent := spawn(t, sys, func(*actor.Context, any) { cancel() })
	_, err := sys.Ask(ctx, silent, 1)
	wantErr(t, err, context.Canceled)
}

func TestAPanicAnywhereIsContained(t *testing.T) {
	tests := map[string]struct {
		h      hooked
		reason error
	}{
		"in a continuation": {h: hooked{receive: func(c *actor.Context, _ any) { c.Ask(actor.Ref{}, 1, func(any, error) { panic("boom") }) }}},
		"in a timer":        {h: hooked{receive: func(c *actor.Context, _ any) { c.After(0, func() { panic("boom") }) }}},
		"behind work": {h: hooked{receive: func(c *actor.Context, _ any) {
			c.Go(func(context.Context) (any, error) { return 1, nil }, func(any, error) { panic("boom") })
		}}},
		"in a resume": {h: hooked{receive: func(c *actor.Context, _ any) { c.Resume(func() { panic("boom") })() }}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			sys := newSystem(t)
			ref := spawnHooked(t, sys, "", tt.h)
			_, err := sys.Ask(t.Context(), ref, 1)
			wantErr(t, err, actor.ErrFailed)
			sys.Stop(ref, nil)
			if err := ended(t, sys, ref); err != nil && !errors.Is(err, actor.ErrNoActor) {
				t.Fatal(err)
			}
		})
	}
}

func TestAPanicInStartIsAnErrorOfSpawnAndFreesTheName(t *testing.T) {
	sys := newSystem(t)
	boom := actor.Spec{Name: "boom", New: func() actor.Actor {
		return &hooked{start: func(c *actor.Context) error {
			c.Ask(actor.Ref{}, 1, func(any, error) { t.Error("a continuation ran in an actor that did not start") })
			panic("boom")
		}}
	}}
	for range 20 {
		_, err := sys.Spawn(boom)
		wantErr(t, err, actor.ErrFailed)
	}
	if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { panic("boom") }}); !errors.Is(err, actor.ErrFailed) {
		t.Fatal(err)
	}
	if n := sys.Stats().Actors; n != 0 {
		t.Fatalf("%d actors are left", n)
	}
}

func TestAPanicInStopEndsTheActor(t *testing.T) {
	sys := newSystem(t)
	ref := spawnHooked(t, sys, "", hooked{stop: func(*actor.Context, error) { panic("boom") }})
	sys.Stop(ref, errPlanned)
	if err := ended(t, sys, ref); !errors.Is(err, errPlanned) && !errors.Is(err, actor.ErrNoActor) {
		t.Fatal(err)
	}
}

func TestAStoppingActorSpawnsNoChildrenAndTakesNoMessages(t *testing.T) {
	sys := newSystem(t)
	asked := make(chan error, 1)
	ref := spawnHooked(t, sys, "", hooked{stop: func(c *actor.Context, _ error) {
		if _, err := c.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(echo) }}); !errors.Is(err, actor.ErrStopped) {
			t.Errorf("spawn while stopping: %v", err)
		}
		c.Ask(c.Self(), 1, func(_ any, err error) { asked <- err })
	}})
	sys.Stop(ref, nil)
	wantErr(t, <-asked, actor.ErrStopped)
}

func TestAnActorThatDoesNotStopIsEndedAfterItsTimeout(t *testing.T) {
	sys, log := newLogged(t)
	ref := spawnHooked(t, sys, "slow", hooked{stop: func(c *actor.Context, _ error) { c.Hold() }})
	sys.Stop(ref, nil)
	_ = ended(t, sys, ref)
	if !strings.Contains(log.String(), "did not stop in time") {
		t.Fatal(log.String())
	}
}

func TestAHoldOfAFormerLifeDoesNotCountInTheNext(t *testing.T) {
	sys := newSystem(t)
	var release []func()
	ref := spawnHooked(t, sys, "", hooked{
		receive: func(c *actor.Context, msg any) {
			release = append(release, c.Hold())
			if msg == "panic" {
				panic("boom")
			}
			c.Reply(nil, nil)
		},
		stop: func(*actor.Context, error) { go release[0]() }, // of the first life: this one still has a hold
	})
	_, err := sys.Ask(t.Context(), ref, "panic")
	wantErr(t, err, actor.ErrFailed)
	ask(t, sys, ref, "hold")
	began := time.Now()
	sys.Stop(ref, nil)
	_ = ended(t, sys, ref)
	if d := time.Since(began); d < 50*time.Millisecond {
		t.Fatalf("the actor ended after %v although it was held", d)
	}
}

func TestALongMailboxIsWarnedOfAtEachDoubling(t *testing.T) {
	sys, log := newLogged(t)
	begun, goOn := make(chan struct{}), make(chan struct{})
	ref := spawnHooked(t, sys, "busy", hooked{receive: func(c *actor.Context, msg any) {
		if msg == "block" {
			close(begun)
			<-goOn
		}
		c.Reply(nil, nil)
	}})
	sys.Send(ref, "block")
	<-begun
	for range 4 * actor.FirstWarning {
		sys.Send(ref, 1)
	}
	close(goOn)
	ask(t, sys, ref, 1)
	if n := strings.Count(log.String(), "mailbox is long"); n != 3 {
		t.Fatalf("%d warnings, want those of 1024, 2048 and 4096:\n%s", n, log)
	}
}

func TestTooMuchBlockingWorkIsRefused(t *testing.T) {
	sys := actor.New(actor.Config{Blocking: 1, BlockingQueue: 1, Log: slog.New(slog.DiscardHandler)})
	goOn := make(chan struct{})
	results := make(chan error, 3)
	ref := spawn(t, sys, func(c *actor.Context, _ any) {
		for range 3 {
			c.Go(func(context.Context) (any, error) { <-goOn; return 1, nil }, func(_ any, err error) { results <- err })
		}
	})
	sys.Send(ref, 1)
	wantErr(t, <-results, actor.ErrOverloaded)
	close(goOn)
	for range 2 {
		if err := <-results; err != nil {
			t.Fatal(err)
		}
	}
	if err := sys.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestWorkThatEndsItsGoroutineIsAnErrorAndOtherWorkGoesOn(t *testing.T) {
	sys := actor.New(actor.Config{Blocking: 1, Log: slog.New(slog.DiscardHandler)})
	results := make(chan error, 4)
	ref := spawn(t, sys, func(c *actor.Context, _ any) {
		for i := range 4 {
			c.Go(func(context.Context) (any, error) {
				if i%2 == 0 {
					runtime.Goexit()
				}
				return 1, nil
			}, func(_ any, err error) { results <- err })
		}
	})
	sys.Send(ref, 1)
	failures := 0
	for range 4 {
		if err := <-results; err != nil {
			wantErr(t, err, actor.ErrFailed)
			failures++
		}
	}
	if err := sys.Shutdown(t.Context()); err != nil || failures != 2 {
		t.Fatal(failures, err)
	}
}

func TestShutdownNamesWhoIsStuckAndEndsWhoWaitsForIt(t *testing.T) {
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
	spawnHooked(t, sys, "older", hooked{})
	goOn := make(chan struct{})
	begun := make(chan struct{})
	stuck := spawnHooked(t, sys, "stuck", hooked{receive: func(*actor.Context, any) { close(begun); <-goOn }})
	asked := make(chan error)
	go func() {
		_, err := sys.Ask(context.Background(), stuck, 1)
		asked <- err
	}()
	<-begun
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	err := sys.Shutdown(ctx)
	wantErr(t, err, context.DeadlineExceeded)
	if !strings.Contains(err.Error(), "stuck did not end") {
		t.Fatal(err)
	}
	wantErr(t, <-asked, actor.ErrStopped)
	close(goOn)
	if err := sys.Shutdown(t.Context()); err != nil { // again, now that it can
		t.Fatal(err)
	}
	if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(echo) }}); !errors.Is(err, actor.ErrShutdown) {
		t.Fatal(err)
	}
}

func TestShutdownDoesNotWaitLongerThanItMayForWork(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		goOn, begun := make(chan struct{}), make(chan struct{})
		ref := spawnHooked(t, sys, "", hooked{receive: func(c *actor.Context, _ any) {
			c.Go(func(context.Context) (any, error) { close(begun); <-goOn; return 1, nil }, func(any, error) {})
		}})
		sys.Send(ref, 1)
		<-begun
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond) // the actor is given up after 50 ms
		defer cancel()
		err := sys.Shutdown(ctx)
		wantErr(t, err, context.DeadlineExceeded)
		if !strings.Contains(err.Error(), "work given to Go") {
			t.Fatal(err)
		}
		close(goOn)
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestNamesEndWithTheirActor(t *testing.T) {
	sys := newSystem(t)
	ref := spawnHooked(t, sys, "first", hooked{})
	for range 3 {
		if err := sys.Register("second", ref); err != nil {
			t.Fatal(err)
		}
	}
	wantErr(t, sys.Register("first", spawn(t, sys, echo)), actor.ErrNameTaken)
	sys.Stop(ref, nil)
	_ = ended(t, sys, ref)
	for _, name := range []string{"first", "second"} {
		if _, ok := sys.Lookup(name); ok {
			t.Errorf("%s is still registered", name)
		}
	}
	wantErr(t, sys.Register("third", ref), actor.ErrNoActor)
}

func TestASlotRestsBeforeItIsUsedAgain(t *testing.T) {
	sys := newSystem(t)
	first := spawnHooked(t, sys, "", hooked{})
	sys.Stop(first, nil)
	_ = ended(t, sys, first)
	for n := 1; ; n++ {
		ref := spawnHooked(t, sys, "", hooked{})
		sys.Stop(ref, nil)
		if actor.Slot(ref) != actor.Slot(first) {
			if n > 4*actor.MinFree {
				t.Fatal("the slot is never used again")
			}
			continue
		}
		if n < actor.MinFree/2 {
			t.Fatalf("the slot was used again after %d actors", n)
		}
		if ref == first {
			t.Fatal("two actors have the same Ref")
		}
		return
	}
}

func TestARequestForwardedInACircleFails(t *testing.T) {
	sys := newSystem(t)
	var a, b actor.Ref
	ready := make(chan struct{})
	a = spawn(t, sys, func(c *actor.Context, _ any) { <-ready; c.Forward(b) })
	b = spawn(t, sys, func(c *actor.Context, _ any) { <-ready; c.Forward(a) })
	close(ready)
	_, err := sys.Ask(t.Context(), a, 1)
	wantErr(t, err, actor.ErrCycle)
}

func TestForwardingAnAnsweredRequestDoesNothing(t *testing.T) {
	sys := newSystem(t)
	other := spawn(t, sys, func(*actor.Context, any) { t.Error("the request arrived") })
	ref := spawn(t, sys, func(c *actor.Context, msg any) { c.Reply(msg, nil); c.Forward(other) })
	ask(t, sys, ref, 1)
}

func TestWatchersThatEndAreForgotten(t *testing.T) {
	sys := newSystem(t)
	watched := spawn(t, sys, echo)
	heard := make(chan actor.Ref, 10)
	spec := actor.Spec{New: func() actor.Actor {
		return &hooked{
			start:   func(c *actor.Context) error { c.Watch(watched); return nil },
			receive: func(c *actor.Context, msg any) { heard <- c.Self() },
		}
	}}
	var refs []actor.Ref
	for range 3 {
		ref, err := sys.Spawn(spec)
		if err != nil {
			t.Fatal(err)
		}
		refs = append(refs, ref)
	}
	sys.Stop(refs[0], nil)
	_ = ended(t, sys, refs[0])
	if n := actor.Watchers(sys, watched); n != 2 {
		t.Fatalf("%d watchers are known, want 2", n)
	}
	sys.Stop(watched, nil)
	for range 2 {
		<-heard
	}
}

func TestAnActorThatIsFoundAndStoppedBeforeItsStartLeavesNobodyWaiting(t *testing.T) {
	sys := newSystem(t)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 2000 {
			if ref, ok := sys.Lookup("early"); ok {
				sys.Stop(ref, errPlanned)
			}
		}
	}()
	for running := true; running; {
		ref, err := sys.Spawn(actor.Spec{Name: "early", New: func() actor.Actor { return &hooked{} }})
		if err == nil {
			sys.Stop(ref, nil)
			_ = ended(t, sys, ref)
		}
		select {
		case <-done:
			running = false
		default:
		}
	}
}

func TestAWaitLongerThanTheWheelIsAWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
		fired := false
		ref := spawn(t, sys, func(c *actor.Context, _ any) {
			c.After(1<<63-1, func() { fired = true })
			c.Reply(nil, nil)
		})
		ask(t, sys, ref, 1)
		time.Sleep(24 * 365 * time.Hour) //nolint:forbidigo // fake time
		ask(t, sys, ref, 1)
		if fired {
			t.Fatal("a timer of 292 years fired within one")
		}
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestErrorsNameWhomTheyAreAbout(t *testing.T) {
	err := fmt.Errorf("buy: %w", &actor.Error{Code: actor.Failed, Actor: "shop", Text: "no apples"})
	if got, want := err.Error(), "buy: actor: shop: handler failed: no apples"; got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if errors.Is(err, actor.ErrStopped) || !errors.Is(err, actor.ErrFailed) || actor.Code(99).String() != "code(99)" {
		t.Fatal("codes are mixed up")
	}
}
