package actor_test

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// These hold already; each notices a change of the runtime that no other test here does.

func TestASerialActorThatIsFreedFromOutsideTakesWhatWaitsAlready(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		promises := make(chan actor.Promise, 1)
		handled := make(chan any, 2)
		ref := serial(t, sys, func(c *actor.Context, msg any) {
			if msg == "later" {
				promises <- c.Promise()
				return
			}
			handled <- msg
		})
		asker := spawn(t, sys, func(c *actor.Context, _ any) { c.Ask(ref, "later", func(any, error) {}) })
		sys.Send(asker, nil)
		p := <-promises
		sys.Send(ref, "waiting")
		synctest.Wait()
		p.Reply(1, nil)
		synctest.Wait()
		if len(handled) != 1 {
			t.Fatal("the message still waits")
		}
	})
}

func TestDeadlinesHoldInALifeAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		silent := spawn(t, sys, func(*actor.Context, any) {})
		result := make(chan error, 2)
		ref := spawn(t, sys, func(c *actor.Context, msg any) {
			timeout := 5 * time.Second
			if msg == "fail" {
				timeout = time.Second // earlier than whatever comes in the next life
			}
			c.AskFor(silent, 1, timeout, func(_ any, err error) { result <- err })
			if msg == "fail" {
				panic("planned")
			}
		})
		sys.Send(ref, "fail")
		pass(100 * time.Millisecond)
		sys.Send(ref, "ask")
		pass(6 * time.Second)
		if len(result) != 1 {
			t.Fatalf("%d continuations ran", len(result))
		}
		wantErr(t, <-result, actor.ErrDeadline)
	})
}

func TestAnActorThatWaitsForItsRestartCanBeKilledAndStopped(t *testing.T) {
	for name, end := range map[string]func(*actor.System, actor.Ref){
		"killed":  func(s *actor.System, r actor.Ref) { s.Kill(r, nil) },
		"stopped": func(s *actor.System, r actor.Ref) { s.Stop(r, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				var starts, stops atomic.Int32
				ref, err := sys.Spawn(actor.Spec{Supervision: actor.Supervision{Backoff: time.Second}, New: func() actor.Actor {
					return &hooked{
						start:   func(*actor.Context) error { starts.Add(1); return nil },
						receive: func(*actor.Context, any) { panic("planned") },
						stop:    func(*actor.Context, error) { stops.Add(1) },
					}
				}})
				if err != nil {
					t.Fatal(err)
				}
				sys.Send(ref, 1)
				pass(100 * time.Millisecond)
				end(sys, ref)
				pass(100 * time.Millisecond)
				if _, lives := sys.Inspect(ref); lives {
					t.Fatal("it lives")
				}
				pass(5 * time.Second)
				if starts.Load() != 1 || stops.Load() != 0 {
					t.Fatalf("%d starts, %d stops of the life that failed", starts.Load(), stops.Load())
				}
			})
		})
	}
}

func TestWhomAStuckHandlerHasWokenIsRunByOthers(t *testing.T) {
	sys := newSystem(t)
	gate := make(chan struct{})
	got := make(chan struct{})
	to := spawn(t, sys, func(*actor.Context, any) { close(got) })
	ref := spawn(t, sys, func(c *actor.Context, _ any) {
		c.Send(to, 1)
		<-gate
	})
	sys.Send(ref, 1)
	select {
	case <-got:
	case <-time.After(40 * time.Second):
		t.Error("it waits for a handler that does not return")
	}
	close(gate)
}

func TestAStopBehindARestartThatPanicsIsNotForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &manual{}
		sys := actor.New(actor.Config{Scheduler: m, Log: slog.New(slog.DiscardHandler)})
		var lives atomic.Int32
		ref := spawnHooked(t, sys, "a", hooked{
			start: func(*actor.Context) error {
				if lives.Add(1) == 2 {
					panic("planned")
				}
				return nil
			},
			receive: func(*actor.Context, any) { panic("planned") },
		})
		sys.Send(ref, 1)
		for m.step() {
		}
		pass(time.Second) // the restart is due, and nobody has run the actor
		sys.Stop(ref, errors.New("enough"))
		for range 5 {
			for m.step() {
			}
			pass(time.Second)
		}
		if _, alive := sys.Inspect(ref); alive || lives.Load() != 2 {
			t.Errorf("alive %v, %d lives", alive, lives.Load())
		}
		_ = sys.Shutdown(context.Background())
	})
}

func TestWhatWaitsBehindAFailureStaysInOrderHoweverMuchItIs(t *testing.T) {
	sys := newSystem(t)
	const n = 5000
	begun, gate := make(chan struct{}), make(chan struct{})
	last, wrong := -1, 0
	ref := spawn(t, sys, func(c *actor.Context, msg any) {
		switch m := msg.(type) {
		case string:
			close(begun)
			<-gate
		case int:
			if m != last+1 {
				wrong++
			}
			last = m
			if m == 500 {
				panic("planned")
			}
		case bool:
			c.Reply(wrong, nil)
		}
	})
	sys.Send(ref, "block")
	<-begun
	for i := range n {
		sys.Send(ref, i)
	}
	close(gate)
	if v, err := sys.Ask(context.Background(), ref, true); err != nil || v != 0 || last != n-1 {
		t.Fatalf("%v out of order, the last one was %d: %v", v, last, err)
	}
}
