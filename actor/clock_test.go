package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
)

// clocked is a system whose time stands still.
func clocked(t *testing.T) (*actor.System, *actor.Clock) {
	t.Helper()
	clock := &actor.Clock{}
	sys := actor.New(actor.Config{Clock: clock, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
	clock.Freeze()
	return sys, clock
}

// elapse lets that much time pass, and the actor have its turn after each step.
func elapse(t *testing.T, sys *actor.System, clock *actor.Clock, of actor.Ref, d time.Duration) {
	t.Helper()
	for d > 0 {
		d -= clock.Advance(d)
		if _, err := sys.Ask(t.Context(), of, "turn"); err != nil {
			t.Fatal(err)
		}
	}
}

type begin func(c *actor.Context)

// clockwork runs what it is sent, and answers all else.
func clockwork(c *actor.Context, msg any) {
	if f, ok := msg.(begin); ok {
		f(c)
	}
	c.Reply(nil, nil)
}

func TestAFrozenClockMovesByAdvanceOnlyAndThroughEachMoment(t *testing.T) {
	sys, clock := clocked(t)
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(clockwork) }})
	if err != nil {
		t.Fatal(err)
	}
	began := sys.Now()
	var at []time.Duration
	note := func() { at = append(at, sys.Now().Sub(began)) }
	_, err = sys.Ask(t.Context(), ref, begin(func(c *actor.Context) {
		c.Every(time.Minute, note)
		c.After(90*time.Second, func() { note(); c.After(time.Millisecond, note) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	elapse(t, sys, clock, ref, time.Minute-time.Millisecond)
	if len(at) != 0 {
		t.Fatalf("a timer was early: %v", at)
	}
	elapse(t, sys, clock, ref, time.Millisecond)
	elapse(t, sys, clock, ref, 2*time.Minute)
	want := []time.Duration{time.Minute, 90 * time.Second, 90*time.Second + time.Millisecond, 2 * time.Minute, 3 * time.Minute}
	if !slices.Equal(at, want) {
		t.Fatalf("timers fired after %v, want %v", at, want)
	}
	if got := sys.Now().Sub(began); got != 3*time.Minute {
		t.Fatalf("%v have passed, want 3 minutes", got)
	}
}

func TestADeadlineIsOfTheClockAndWorkHasTheMachinesTime(t *testing.T) {
	sys, clock := clocked(t)
	clock.Thaw()
	for range 100 { // far ahead of the machine's time
		clock.Advance(time.Hour)
	}
	work := make(chan time.Duration, 1)
	slow, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) {
			c.Go(func(ctx context.Context) (any, error) {
				deadline, _ := ctx.Deadline()
				work <- time.Until(deadline)
				return nil, nil
			}, func(any, error) { c.Promise() })
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(clockwork) }})
	if err != nil {
		t.Fatal(err)
	}
	failed := make(chan error, 1)
	_, err = sys.Ask(t.Context(), ref, begin(func(c *actor.Context) {
		c.Detached(func() { c.AskFor(slow, "wait", time.Minute, func(_ any, err error) { failed <- err }) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	if left := <-work; left <= 50*time.Second || left > time.Minute+time.Second {
		t.Errorf("work may take %v, want a minute", left)
	}
	elapse(t, sys, clock, ref, time.Minute-time.Millisecond)
	select {
	case err := <-failed:
		t.Fatalf("given up early: %v", err)
	default:
	}
	elapse(t, sys, clock, ref, 2*time.Millisecond)
	if err := <-failed; !errors.Is(err, actor.ErrDeadline) {
		t.Fatalf("the request ended with %v", err)
	}
}

func TestAClockThatIsThawedGoesOnFromWhereItStood(t *testing.T) {
	sys, clock := clocked(t)
	ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return actor.Func(clockwork) }})
	if err != nil {
		t.Fatal(err)
	}
	fired := make(chan time.Duration, 1)
	began := sys.Now()
	_, err = sys.Ask(t.Context(), ref, begin(func(c *actor.Context) {
		c.After(time.Hour+time.Millisecond, func() { fired <- sys.Now().Sub(began) })
	}))
	if err != nil {
		t.Fatal(err)
	}
	elapse(t, sys, clock, ref, time.Hour)
	select {
	case at := <-fired:
		t.Fatalf("fired after %v", at)
	default:
	}
	clock.Thaw()
	if at := <-fired; at < time.Hour || at > 2*time.Hour {
		t.Fatalf("fired after %v, want an hour", at)
	}
}
