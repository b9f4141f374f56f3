package actor_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
)

// total is how many things a histogram has counted, and those above a bound.
func total(h actor.Histogram, above time.Duration) (all, slow uint64) {
	for i, n := range h.Counts {
		all += n
		if i > 0 && actor.TimeBounds[i-1] >= above {
			slow += n
		}
	}
	return all, slow
}

func TestHandlerTimesAreKeptByKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		spawn := func(kind string, takes time.Duration) actor.Ref {
			ref, err := sys.Spawn(actor.Spec{Kind: kind, New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, _ any) {
					time.Sleep(takes) //nolint:forbidigo // fake time
					c.Reply(nil, nil)
				})
			}})
			if err != nil {
				t.Fatal(err)
			}
			return ref
		}
		slow, fast := spawn("slow", 20*time.Millisecond), spawn("fast", 0)
		for range 10 {
			for _, ref := range []actor.Ref{slow, fast} {
				if _, err := sys.Ask(t.Context(), ref, 1); err != nil {
					t.Fatal(err)
				}
			}
		}
		synctest.Wait()
		times := sys.HandlerTimes()
		if all, above := total(times["slow"], 10*time.Millisecond); all != 10 || above != 10 {
			t.Errorf("slow: %d messages, %d of them above 10 ms: %v", all, above, times["slow"])
		}
		if sum := times["slow"].Sum; sum != 200*time.Millisecond {
			t.Errorf("slow: %v in all", sum)
		}
		if all, above := total(times["fast"], 10*time.Microsecond); all != 10 || above != 0 {
			t.Errorf("fast: %d messages, %d of them above 10 µs: %v", all, above, times["fast"])
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}

func TestKindsWhoseTimesAreKeptAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		defer func() { _ = sys.Shutdown(context.Background()) }()
		for i := range 5000 {
			ref, err := sys.Spawn(actor.Spec{Kind: fmt.Sprintf("lua:made-up-%d", i), New: func() actor.Actor {
				return actor.Func(func(c *actor.Context, _ any) { c.Reply(nil, nil) })
			}})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := sys.Ask(t.Context(), ref, 1); err != nil {
				t.Fatal(err)
			}
			sys.Stop(ref, nil)
			<-sys.Ended(ref)
		}
		synctest.Wait() // a worker counts what it has handled behind an actor's end
		times := sys.HandlerTimes()
		if len(times) > 65 {
			t.Errorf("%d kinds are kept", len(times))
		}
		var all uint64
		for _, h := range times {
			n, _ := total(h, time.Hour)
			all += n
		}
		if all != 5000 {
			t.Errorf("%d messages are counted, 5000 were handled", all)
		}
	})
}

func TestAskTimesAreASample(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		ref, err := sys.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				if msg == "bad" {
					c.Reply(nil, errors.New("no"))
					return
				}
				time.Sleep(2 * time.Millisecond) //nolint:forbidigo // fake time
				c.Reply(nil, nil)
			})
		}})
		if err != nil {
			t.Fatal(err)
		}
		const n = 4000
		for range n {
			_, _ = sys.Ask(t.Context(), ref, "good")
			_, _ = sys.Ask(t.Context(), ref, "bad")
		}
		answered, failed := sys.AskTimes()
		all, slow := total(answered, time.Millisecond)
		if all < n/32 || all > n/8 || slow != all {
			t.Errorf("%d of %d requests were measured, %d of them above 1 ms", all, n, slow)
		}
		if all, slow := total(failed, time.Millisecond); all < n/32 || all > n/8 || slow != 0 {
			t.Errorf("%d of %d failures were measured, %d of them above 1 ms", all, n, slow)
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
	})
}
