package grain_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/grain"
)

// feeder sends numbered messages to some grains, until it is stopped.
type feeder struct {
	g     *grain.Grains
	name  string
	kind  string
	ids   int
	pause time.Duration
	sent  int
	ended chan<- int // nil when it has ended: its timer may have fired before
}

func (f *feeder) Start(c *actor.Context) error {
	f.feed(c)
	return nil
}

func (f *feeder) feed(c *actor.Context) {
	if f.ended == nil {
		return
	}
	f.sent++
	for id := range f.ids {
		f.g.Send(c, f.kind, fmt.Sprint(id), fmt.Sprintf("%s.%d", f.name, f.sent))
	}
	c.After(f.pause+rand.N(f.pause), func() { f.feed(c) })
}

func (f *feeder) Receive(c *actor.Context, _ any) {
	f.ended <- f.sent
	f.ended = nil
	c.Stop(c.Self(), nil)
}

// feed has an actor on each node send to grains of a kind; end stops them and returns how often each has sent.
func (r *rig) feed(kind string, ids int, pause time.Duration, nodes ...int) (end func() map[string]int) {
	r.t.Helper()
	refs, ended := map[string]actor.Ref{}, make(chan int, 1)
	for _, i := range nodes {
		name := fmt.Sprint("f", i)
		refs[name] = r.Nodes[i].Spawn(actor.Spec{New: func() actor.Actor {
			return &feeder{g: r.of(i), name: name, kind: kind, ids: ids, pause: pause, ended: ended}
		}})
	}
	return func() map[string]int {
		counts := map[string]int{}
		for name, ref := range refs {
			for _, n := range r.Nodes {
				if n.Name == ref.Node() {
					n.System.Send(ref, struct{}{})
				}
			}
			counts[name] = <-ended
		}
		return counts
	}
}

// complete tells what a grain lacks of what was sent to it, or has in a wrong order.
func complete(log string, counts map[string]int) error {
	next := map[string]int{}
	for _, m := range strings.Fields(strings.Trim(log, "[]")) {
		name, number, _ := strings.Cut(m, ".")
		next[name]++
		if number != fmt.Sprint(next[name]) {
			later := strings.Contains(log+" ", fmt.Sprintf(" %s.%d ", name, next[name]))
			return fmt.Errorf("%s has sent %s where %d was expected, which has come later: %v", name, number, next[name], later)
		}
	}
	for name, n := range counts {
		if next[name] != n {
			return fmt.Errorf("%d of %d messages of %s have come", next[name], n, name)
		}
	}
	return nil
}

func (r *rig) whole(kind string, ids, from int, counts map[string]int) {
	r.t.Helper()
	for id := range ids {
		var err error
		deadline := time.Now().Add(40 * time.Second)
		for {
			err = complete(r.call(from, kind, fmt.Sprint(id), "log").(string), counts)
			if err == nil || time.Now().After(deadline) {
				break
			}
		}
		if err != nil {
			r.t.Fatalf("%s/%d: %v", kind, id, err)
		}
	}
}

func TestADrainMovesGrainsAndLosesNothing(t *testing.T) {
	r := start(t, 3, clustertest.Config{})
	const ids = 40
	end := r.feed("counter", ids, 2*time.Millisecond, 0, 1, 2)
	for id := range ids {
		r.call(0, "counter", fmt.Sprint(id), 1)
	}
	if r.of(1).Count() == 0 {
		t.Fatal("nothing is on the node that is to be drained")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := r.of(1).Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if n := r.of(1).Count(); n != 0 {
		t.Errorf("%d grains are left on a node that was drained", n)
	}
	for id := range ids {
		if at := r.call(1, "counter", fmt.Sprint(id), "who"); at == "n1" {
			t.Errorf("counter/%d is on the drained node", id)
		}
		if v := r.call(1, "counter", fmt.Sprint(id), 1); v != 2 {
			t.Errorf("counter/%d is %v, expected 2: what it had was not saved, or not loaded", id, v)
		}
	}
	counts := end()
	r.whole("counter", ids, 2, counts)
	for i := range 3 {
		if n := r.Nodes[i].System.Stats().DeadLetters; n > 0 {
			t.Errorf("%d messages were lost on n%d", n, i)
		}
	}
	if r.disk.refused > 0 {
		t.Errorf("%d saves were refused: a grain was somewhere else before it had ended", r.disk.refused)
	}
}

func TestARollingRestartLosesNothing(t *testing.T) {
	r := start(t, 3, clustertest.Config{})
	const ids = 20
	for id := range ids {
		r.call(0, "counter", fmt.Sprint(id), 1)
	}
	for i := range 3 {
		kind := []string{"counter", "local", "light"}[i]
		end := r.feed(kind, ids, 2*time.Millisecond, (i+1)%3, (i+2)%3)
		for id := range ids {
			r.call(i, kind, fmt.Sprint(id), 1)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := r.of(i).Drain(ctx); err != nil {
			t.Fatal(err)
		}
		cancel()
		r.Nodes[i].Leave()
		for id := range ids {
			r.call((i+1)%3, kind, fmt.Sprint(id), 1)
		}
		r.whole(kind, ids, (i+1)%3, end())
		r.Run(i)
		r.Meet()
		r.open(i)
	}
	for id := range ids {
		if v := r.call(0, "counter", fmt.Sprint(id), 1); v != 4 {
			t.Errorf("counter/%d is %v after three restarts, expected 4", id, v)
		}
	}
}

func TestAnIdleGrainSleepsAndIsWoken(t *testing.T) {
	r := start(t, 2, clustertest.Config{})
	for round := 1; round <= 3; round++ {
		if v := r.call(0, "sleepy", "a", 1); v != round {
			t.Fatalf("round %d: %v", round, v)
		}
		clustertest.Eventually(t, "the grain sleeps", func() bool { return r.of(0).Count()+r.of(1).Count() == 0 })
	}
}

func TestMessagesToAGrainThatFallsAsleepAreNotLost(t *testing.T) {
	r := start(t, 2, clustertest.Config{}, func(r *rig) {
		r.kinds = func(_ int, kinds []grain.Kind) []grain.Kind {
			for i := range kinds {
				if kinds[i].Name == "sleepy" {
					kinds[i].Idle = 10 * time.Millisecond
				}
			}
			return kinds
		}
	})
	end := r.feed("sleepy", 10, 15*time.Millisecond, 0, 1)
	for i := range 100 {
		r.call(i%2, "sleepy", fmt.Sprint(i%10), 1)
	}
	r.whole("sleepy", 10, 0, end())
}

func TestAGrainThatEndsItselfIsStartedAnew(t *testing.T) {
	r := start(t, 2, clustertest.Config{})
	for round := 1; round <= 3; round++ {
		for i := range 2 {
			if v := r.call(i, "counter", "a", 1); v != 2*round-1+i {
				t.Fatalf("round %d: %v", round, v)
			}
		}
		r.of(0).Post("counter", "a", "end")
		clustertest.Eventually(t, "the grain ends", func() bool { return r.of(0).Count()+r.of(1).Count() == 0 })
	}
}

func TestPlacementsChooseTheNode(t *testing.T) {
	r := start(t, 3, clustertest.Config{Members: func(i int) cluster.MembersConfig {
		cfg := believed(i)
		cfg.Roles = []string{"any"}
		switch i {
		case 1:
			cfg.Roles = []string{"world"}
			cfg.Labels = map[string]string{grain.WeightLabel: "4"}
		case 2:
			cfg.Load = func() cluster.Load { return cluster.Load{Grains: 1000} }
		}
		return cfg
	}})
	at := map[string]map[any]int{"world": {}, "local": {}, "light": {}, "counter": {}}
	for i := range 40 {
		at["light"][r.call(i%3, "light", fmt.Sprint(i), "who")]++
	}
	if at["light"]["n2"] != 0 || at["light"]["n0"] < 10 || at["light"]["n1"] < 10 {
		t.Errorf("the grains for nodes with little to do are on %v", at["light"])
	}
	delete(at, "light")
	for i := range 100 {
		for kind, nodes := range at {
			nodes[r.call(i%3, kind, fmt.Sprint(i), "who")]++
			if kind == "local" && nodes[fmt.Sprint("n", i%3)] != i/3+1 {
				t.Fatalf("local/%d was first asked by n%d, and is elsewhere", i, i%3)
			}
		}
	}
	if at["world"]["n1"] != 100 {
		t.Errorf("the grains of a role are on %v", at["world"])
	}
	if n := at["counter"]["n1"]; n < 45 || n > 85 {
		t.Errorf("a node of four times the weight has %d of 100 grains", n)
	}
}

func TestNoNodeOfARoleIsAnError(t *testing.T) {
	r := start(t, 2, clustertest.Config{Members: func(int) cluster.MembersConfig {
		return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 300 * time.Millisecond, Dead: time.Second, Roles: []string{"gate"}}
	}})
	if _, err := r.of(0).Call(t.Context(), "world", "x", 1); !errors.Is(err, grain.ErrNoNode) {
		t.Error(err)
	}
}
