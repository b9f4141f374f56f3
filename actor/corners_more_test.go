package actor_test

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
)

// The memory of the long block goes with the worker to whichever actor it runs next.
func TestAnActorLosesNothingBecauseAnotherOneStopped(t *testing.T) {
	for round := range 3 {
		sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
		var seen atomic.Int64
		gate := make(chan struct{})
		begun := make(chan struct{}, 8)
		var victims [8]actor.Ref
		for i := range victims {
			victims[i] = spawn(t, sys, func(c *actor.Context, msg any) {
				switch msg {
				case "block":
					begun <- struct{}{}
					<-gate
				case "seen":
					c.Reply(nil, nil)
				default:
					seen.Add(1)
				}
			})
		}
		stopper := spawn(t, sys, func(c *actor.Context, _ any) {
			c.Hold()
			first := c.Resume(func() {})
			last := c.Resume(func() {
				for _, v := range victims {
					c.Send(v, "block")
				}
			})
			for range 3000 {
				first()
			}
			last()
			c.Stop(c.Self(), nil)
		})
		sys.Send(stopper, 1)
		for range victims {
			<-begun
		}
		const n = 8000
		for _, v := range victims {
			for i := range n {
				sys.Send(v, i)
			}
		}
		close(gate)
		for _, v := range victims {
			if _, err := sys.Ask(t.Context(), v, "seen"); err != nil {
				t.Error(round, err)
			}
		}
		got := seen.Load()
		sys.Kill(stopper, nil)
		_ = sys.Shutdown(context.Background())
		if got != n*int64(len(victims)) {
			t.Fatalf("round %d: %d messages of %d arrived", round, got, n*len(victims))
		}
	}
}

func TestAskingForMoreThanThereAreFailsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		silent := spawn(t, sys, func(*actor.Context, any) {})
		began := time.Now()
		ref := spawn(t, sys, func(c *actor.Context, _ any) {
			c.AskQuorum([]actor.Ref{silent}, 2, 1, func(_ []actor.Answer, err error) { c.Reply(nil, err) })
		})
		_, err := sys.Ask(t.Context(), ref, 1)
		if time.Since(began) > 0 {
			t.Fatalf("%v after %v", err, time.Since(began))
		}
	})
}

func TestEveryStaysOnItsGridAfterALateFiring(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		began := time.Now()
		var at []time.Duration
		ref := spawnHooked(t, sys, "clock", hooked{start: func(c *actor.Context) error {
			c.Every(100*time.Millisecond, func() {
				at = append(at, time.Since(began))
				if len(at) == 2 {
					<-time.After(250 * time.Millisecond)
				}
			})
			return nil
		}, receive: func(c *actor.Context, _ any) { c.Reply(slices.Clone(at), nil) }})
		pass(950 * time.Millisecond)
		got, _ := ask(t, sys, ref, 1).([]time.Duration)
		if len(got) != 8 {
			t.Fatalf("it fires at %v", got)
		}
		for _, d := range got[2:] {
			if d%(100*time.Millisecond) != 0 && d != 450*time.Millisecond {
				t.Fatalf("it fires at %v", got)
			}
		}
	})
}

func TestAChildThatAsksItsRestartingParentInStop(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		began := time.Now()
		restarted := make(chan time.Duration, 2)
		var parent actor.Ref
		parent, err := sys.Spawn(actor.Spec{Name: "parent", New: func() actor.Actor {
			return &hooked{start: func(c *actor.Context) error {
				restarted <- time.Since(began)
				_, err := c.Spawn(actor.Spec{New: func() actor.Actor {
					return &hooked{stop: func(c *actor.Context, _ error) { c.Ask(parent, "bye", func(any, error) {}) }}
				}})
				return err
			}, receive: func(c *actor.Context, msg any) {
				if msg == "fail" {
					panic("planned")
				}
				c.Reply(nil, nil)
			}}
		}})
		if err != nil {
			t.Fatal(err)
		}
		<-restarted
		sys.Send(parent, "fail")
		if d := <-restarted; d > time.Second {
			t.Fatalf("restarted after %v, because the child's Stop asks its parent", d)
		}
	})
}
