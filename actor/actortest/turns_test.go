package actortest_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

func TestNothingRunsBeforeTheTestSaysSo(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		var handled []any
		note := func(_ *actor.Context, msg any) { handled = append(handled, msg) }
		a, b := spawn(k, "a", note), spawn(k, "b", note)
		k.Send(b, 1)
		k.Send(a, 2)
		k.Send(b, 3)
		k.Advance(time.Hour)
		k.Probe("p").ExpectNone()
		if len(handled) > 0 {
			t.Fatalf("handled %v", handled)
		}
		if got := k.Ready(); !slices.Equal(got, []actor.Ref{b, a}) {
			t.Fatalf("ready are %v, want who has waited longest first: %v, %v", got, b, a)
		}
		for k.Step() {
		}
		if want := []any{1, 2, 3}; !slices.Equal(handled, want) {
			t.Fatalf("handled %v, want %v", handled, want)
		}
		k.Send(b, 4)
		k.Send(a, 5)
		k.StepOf(a)
		if want := []any{1, 2, 3, 5}; !slices.Equal(handled, want) {
			t.Fatalf("handled %v, want %v", handled, want)
		}
	})
}

func TestAnActorThatIsMadeDoesNotMoveTheOthers(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		handled := 0
		a := spawn(k, "a", func(*actor.Context, any) { handled++ })
		k.Send(a, 1)
		k.Probe("p")
		spawn(k, "b", func(*actor.Context, any) {})
		if handled != 0 {
			t.Fatal("a has been run")
		}
	})
}

func TestStepsThatCanNotBeMadeFailTheTest(t *testing.T) {
	v := judge(t, actortest.Config{Dispatch: actortest.Manual}, func(k *actortest.Kit) {
		a, b := spawn(k, "a", func(*actor.Context, any) {}), spawn(k, "b", func(*actor.Context, any) {})
		k.Send(a, 1)
		k.StepOf(b)
	})
	wantFailure(t, v, "step of b: it has nothing to do; ready: a")
	wantFailure(t, judge(t, actortest.Config{}, func(k *actortest.Kit) { k.Step() }), "Step needs Config.Dispatch to be Manual or Shuffled")
}

func TestActorsThatNeverRestFailTheTest(t *testing.T) {
	v := judge(t, actortest.Config{Dispatch: actortest.Shuffled}, func(k *actortest.Kit) {
		ref := spawn(k, "restless", func(c *actor.Context, msg any) { c.Send(c.Self(), msg) })
		k.Send(ref, 1)
		k.Settle()
	})
	wantFailure(t, v, "the actors do not come to rest: 200000 messages and no time has passed; most are for restless")
}

type (
	get struct{}
	set struct{ n int }
)

// lostUpdate has two tellers add 1 to an account, each by reading it and writing what it read and 1: a race, if the other one comes in between.
func lostUpdate(k *actortest.Kit) int {
	n := 0
	account := spawn(k, "account", func(c *actor.Context, msg any) {
		switch m := msg.(type) {
		case get:
			c.Reply(n, nil)
		case set:
			n = m.n
		}
	})
	for i := range 2 {
		k.Send(spawn(k, fmt.Sprint("teller", i), func(c *actor.Context, _ any) {
			c.Ask(account, get{}, func(v any, _ error) { c.Send(account, set{v.(int) + 1}) })
		}), "add")
	}
	k.Settle()
	return n
}

func TestSeedsFindTheRace(t *testing.T) {
	results := map[int][]uint64{}
	for seed := range uint64(50) {
		v := judge(t, actortest.Config{Dispatch: actortest.Shuffled, Seed: seed}, func(k *actortest.Kit) {
			n := lostUpdate(k)
			results[n] = append(results[n], seed)
		})
		wantPass(t, v)
	}
	if len(results) != 2 || len(results[1]) == 0 || len(results[2]) == 0 {
		t.Fatalf("seeds by what the account had in the end: %v; want some with 1, where an update was lost, and some with 2", results)
	}
}

// crowd is a world with everything whose order the runtime leaves open: many watchers, many children that end, work that comes back, timers of one tick.
func crowd(k *actortest.Kit) {
	p := k.Probe("p")
	worker := func(c *actor.Context, msg any) {
		switch m := msg.(type) {
		case actor.Terminated:
			c.Send(p.Ref(), "saw an end")
		case actor.Ref:
			c.Watch(m)
			c.After(time.Millisecond, func() { c.Send(p.Ref(), "later") })
		default:
			c.Send(p.Ref(), msg)
		}
	}
	parent := spawn(k, "parent", func(c *actor.Context, _ any) {
		for i := range 8 {
			child, err := c.Spawn(actor.Spec{Name: fmt.Sprint("child", i), New: func() actor.Actor { return actor.Func(worker) }})
			if err == nil {
				c.Send(child, i)
				c.Send(child, c.Self())
			}
		}
	})
	var workers []actor.Ref
	for i := range 8 {
		ref := spawn(k, fmt.Sprint("worker", i), worker)
		k.Send(ref, parent)
		workers = append(workers, ref)
	}
	k.Send(parent, "go")
	k.Advance(10 * time.Millisecond)
	k.Stop(parent, nil)
	k.Advance(10 * time.Millisecond)
	for _, ref := range workers {
		k.Send(ref, "last")
	}
	k.Settle()
}

func TestOneSeedIsOneOrder(t *testing.T) {
	for _, d := range []actortest.Dispatch{actortest.Manual, actortest.Shuffled} {
		different := map[string]bool{}
		for seed := range uint64(4) {
			first := ""
			for run := range 20 {
				var now string
				v := judge(t, actortest.Config{Dispatch: d, Seed: seed}, func(k *actortest.Kit) {
					crowd(k)
					k.Settle()
					now = strings.Join(k.Trace(), "\n")
				})
				wantPass(t, v)
				if run == 0 {
					first = now
				}
				if now != first {
					t.Fatalf("dispatch %d, seed %d: run %d went another way\n%s", d, seed, run, firstDifference(first, now))
				}
			}
			different[first] = true
		}
		if want := map[actortest.Dispatch]int{actortest.Manual: 1, actortest.Shuffled: 4}[d]; len(different) != want {
			t.Errorf("dispatch %d: %d orders of 4 seeds, want %d", d, len(different), want)
		}
	}
}

func firstDifference(a, b string) string {
	as, bs := strings.Split(a, "\n"), strings.Split(b, "\n")
	for i := range min(len(as), len(bs)) {
		if as[i] != bs[i] {
			return fmt.Sprintf("step %d: %s\nor      %s", i, as[i], bs[i])
		}
	}
	return fmt.Sprintf("%d and %d steps", len(as), len(bs))
}

func TestTheTraceTellsWhoHandledWhat(t *testing.T) {
	actortest.Config{Dispatch: actortest.Manual}.Run(t, func(t *testing.T, k *actortest.Kit) {
		p := k.Probe("p")
		ref := spawn(k, "a", func(c *actor.Context, msg any) {
			c.After(time.Second, func() { c.Reply(msg, nil) })
		})
		before := len(k.Trace())
		asked := p.Ask(ref, get{})
		k.Step()
		k.Advance(time.Second)
		k.Step()
		if _, err := asked.Answer(); err != nil {
			t.Fatal(err)
		}
		want := []string{"0s p <- what the test says", "0s a <-? actortest_test.get {} from p", "1s a goes on", "1s p goes on"}
		if got := k.Trace()[before:]; !slices.Equal(got, want) {
			t.Fatalf("the trace is %q, want %q", got, want)
		}
	})
}

func TestAKitInAnotherGoroutineIsRefused(t *testing.T) {
	actortest.Config{Dispatch: actortest.Shuffled}.Run(t, func(t *testing.T, k *actortest.Kit) {
		said := make(chan any)
		go func() {
			defer func() { said <- recover() }()
			k.Settle()
		}()
		if got := <-said; !strings.Contains(fmt.Sprint(got), "another goroutine than that of its test") {
			t.Fatalf("said %v", got)
		}
	})
}
