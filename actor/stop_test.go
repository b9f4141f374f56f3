package actor_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

func TestADrainedActorHandlesWhatItHasBeenSentOrStopsInTime(t *testing.T) {
	for _, tt := range []struct {
		within time.Duration
		want   int
	}{{0, 10}, {time.Minute, 10}, {3500 * time.Millisecond, 4}} {
		t.Run(tt.within.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				handled := 0
				ref := spawn(t, sys, func(*actor.Context, any) { pass(time.Second); handled++ })
				for range 10 {
					sys.Send(ref, 1)
				}
				sys.Drain(ref, tt.within)
				<-sys.Ended(ref)
				if handled != tt.want {
					t.Fatalf("%d messages were handled, want %d", handled, tt.want)
				}
				sys.Drain(ref, time.Second) // there is nobody any more
			})
		})
	}
}

func TestARetiredActorEndsWithTheReasonBehindItsMessagesOrInTime(t *testing.T) {
	for within, want := range map[time.Duration]int{0: 10, time.Minute: 10, 3500 * time.Millisecond: 4} {
		t.Run(within.String(), func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				handled := 0
				var told error
				ref := spawnHooked(t, sys, "", hooked{
					receive: func(*actor.Context, any) { pass(time.Second); handled++ },
					stop:    func(_ *actor.Context, reason error) { told = reason },
				})
				boss := spawn(t, sys, func(c *actor.Context, _ any) {
					c.Retire(ref, within, errPlanned)
					c.Drain(ref, within) // which comes later
				})
				for range 10 {
					sys.Send(ref, 1)
				}
				sys.Send(boss, 1)
				if reason := ended(t, sys, ref); !errors.Is(reason, errPlanned) || !errors.Is(told, errPlanned) || handled != want {
					t.Fatalf("ended with %v, its Stop was told %v; %d messages were handled, want %d", reason, told, handled, want)
				}
			})
		})
	}
}

func TestAKilledActorEndsAtOnceWithItsChildren(t *testing.T) {
	for name, first := range map[string]func(sys *actor.System, ref actor.Ref){
		"alive":    func(*actor.System, actor.Ref) {},
		"stopping": func(sys *actor.System, ref actor.Ref) { sys.Stop(ref, errPlanned); synctest.Wait() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, sys *actor.System) {
				began := time.Now()
				hangs := func(c *actor.Context, _ error) { c.Hold() }
				ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
					return &hooked{stop: hangs, start: func(c *actor.Context) error {
						_, err := c.Spawn(actor.Spec{New: func() actor.Actor { return &hooked{stop: hangs} }})
						return err
					}}
				}})
				if err != nil {
					t.Fatal(err)
				}
				first(sys, ref)
				sys.Kill(ref, errPlanned)
				if err := ended(t, sys, ref); !errors.Is(err, errPlanned) && !errors.Is(err, actor.ErrNoActor) {
					t.Error(err)
				}
				synctest.Wait()
				if took := time.Since(began); took > time.Second || sys.Stats().Actors != 0 {
					t.Fatalf("%d actors live after %v", sys.Stats().Actors, took)
				}
			})
		})
	}
}

func TestAUniqueActorIsStartedByWhoeverComesFirst(t *testing.T) {
	sys := newSystem(t)
	var mu sync.Mutex
	starts := 0
	spec := actor.Spec{Name: "bank", New: func() actor.Actor {
		return &hooked{start: func(*actor.Context) error {
			mu.Lock()
			defer mu.Unlock()
			if starts++; starts == 1 {
				return errPlanned
			}
			return nil
		}}
	}}
	if _, err := sys.Unique(spec); !errors.Is(err, errPlanned) {
		t.Fatal(err)
	}
	refs := make([]actor.Ref, 20)
	var all sync.WaitGroup
	for i := range refs {
		all.Go(func() {
			ref, err := sys.Unique(spec)
			if err != nil {
				t.Error(err)
			}
			refs[i] = ref
		})
	}
	all.Wait()
	if starts != 2 || len(slices.Compact(refs)) != 1 {
		t.Fatalf("%d starts, %v", starts, refs)
	}
	if _, err := sys.Unique(actor.Spec{New: spec.New}); err == nil {
		t.Fatal("a unique actor has no name")
	}
}

func TestAShutdownEndsTheNewestFirstAndTellsWhoDidNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler)})
		var order []string
		for i := range 5 {
			name := fmt.Sprint("s", i)
			spec := actor.Spec{Name: name, StopTimeout: time.Hour, New: func() actor.Actor {
				return &hooked{stop: func(c *actor.Context, _ error) {
					order = append(order, name)
					if name == "s1" {
						c.Hold()
					}
				}}
			}}
			if _, err := sys.Spawn(spec); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		err := sys.Shutdown(ctx)
		var late *actor.ShutdownError
		if !errors.As(err, &late) || late.Waiting != "s1" || !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if len(late.Alive) == 0 || !slices.ContainsFunc(late.Alive, func(i actor.Info) bool { return i.Name == "s1" && i.Stopping }) {
			t.Errorf("alive: %+v", late.Alive)
		}
		synctest.Wait()
		if want := []string{"s4", "s3", "s2", "s1", "s0"}; !slices.Equal(order, want) {
			t.Errorf("ended in the order %q", order)
		}
		s1, _ := sys.Lookup("s1")
		sys.Kill(s1, nil)
		if err := sys.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestAnActorThatFailsWhileItStopsEndsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		ref := spawnHooked(t, sys, "", hooked{stop: func(c *actor.Context, _ error) { c.Hold(); panic("boom") }})
		sys.Stop(ref, errPlanned)
		if err := ended(t, sys, ref); !errors.Is(err, errPlanned) && !errors.Is(err, actor.ErrNoActor) {
			t.Fatal(err)
		}
	})
}

func TestWhatIsToBeDoneAtTheStopIsDoneBehindStop(t *testing.T) {
	inBubble(t, func(t *testing.T, sys *actor.System) {
		var did []string
		note := func(what string) func() { return func() { did = append(did, what) } }
		echoes := spawn(t, sys, echo)
		ref := spawnHooked(t, sys, "", hooked{
			receive: func(c *actor.Context, msg any) {
				if msg == "fail" {
					panic("boom")
				}
				var second func()
				c.AtStop(func() {
					note("first")()
					second()
					c.Ask(echoes, 1, func(any, error) {
						note("answered")()
						c.AtStop(note("late"))
					})
				})
				second = c.AtStop(note("second"))
				c.AtStop(note("third"))
			},
			stop: func(c *actor.Context, _ error) {
				note("stop")()
				c.AtStop(note("of stop"))
			},
		})
		sys.Send(ref, "lost with its life")
		sys.Send(ref, "fail")
		synctest.Wait()
		pass(time.Second)
		if sys.Send(ref, 1); len(did) > 0 {
			t.Errorf("a life that has failed is saved: %q", did)
		}
		synctest.Wait()
		sys.Stop(ref, nil)
		synctest.Wait()
		if want := []string{"stop", "first", "third", "of stop", "answered", "late"}; !slices.Equal(did, want) {
			t.Errorf("got %q, want %q", did, want)
		}
	})
}
