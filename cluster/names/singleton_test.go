package names_test

import (
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
)

// runs is who has run a singleton.
type runs struct {
	mu     sync.Mutex
	epochs []uint64
	nodes  []string
	alive  int
	most   int
}

type one struct{ r *runs }

func (o *one) Receive(c *actor.Context, msg any) {
	if msg == "fail" {
		c.Stop(c.Self(), nil)
	}
	c.Reply(c.System().Node().Name(), nil)
}

func (r *runs) spec(node string, sys *actor.System) func(epoch uint64) actor.Spec {
	return func(epoch uint64) actor.Spec {
		return actor.Spec{New: func() actor.Actor {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.epochs, r.nodes = append(r.epochs, epoch), append(r.nodes, node)
			r.alive++
			r.most = max(r.most, r.alive)
			return &one{r}
		}}
	}
}

// Stop counts the end before others can know of it.
func (o *one) Stop(*actor.Context, error) {
	o.r.mu.Lock()
	defer o.r.mu.Unlock()
	o.r.alive--
}

func (r *rig) singletons(t *testing.T, ran *runs) []*lease.Leases {
	t.Helper()
	var all []*lease.Leases
	for i := range r.Nodes {
		all = append(all, r.singleton(t, i, ran))
	}
	return all
}

func (r *rig) singleton(t *testing.T, i int, ran *runs) *lease.Leases {
	t.Helper()
	n := r.Nodes[i]
	l, err := lease.Open(within(t), n.Node, n.Members, lease.Config{TTL: time.Minute, Dead: time.Second, Grace: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	spec, err := names.Singleton(names.SingletonConfig{
		Name: "boss", Leases: l, Names: r.names[i], New: ran.spec(n.Name, n.System), Again: 50 * time.Millisecond,
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Spawn(spec)
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// boss waits until a node sees the singleton on another.
func (r *rig) boss(i int, on ...string) string {
	r.t.Helper()
	var node string
	clustertest.Eventually(r.t, "there is a boss", func() bool {
		ref, err := r.names[i].Any("boss", names.RoundRobin())
		node = ref.Node()
		return err == nil && (len(on) == 0 || node == on[0])
	})
	return node
}

func TestASingletonRunsOnceAndElsewhereWhenItsNodeDies(t *testing.T) {
	r := newRig(t, 3)
	ran := &runs{}
	r.singletons(t, ran)
	first := r.boss(2)
	at := int(first[1] - '0')
	others := []int{(at + 1) % 3, (at + 2) % 3}
	v, err := r.Nodes[others[0]].System.Ask(within(t), mustAny(t, r.names[others[0]]), "who")
	if err != nil || v != first {
		t.Fatalf("%v answers, %v, expected %s", v, err, first)
	}
	r.Nodes[at].Kill()
	var second string
	clustertest.Eventually(t, "another node runs it", func() bool {
		ref, err := r.names[others[0]].Any("boss", names.RoundRobin())
		second = ref.Node()
		return err == nil && second != first
	})
	ran.mu.Lock()
	defer ran.mu.Unlock()
	if len(ran.epochs) != 2 || ran.epochs[1] <= ran.epochs[0] || ran.most != 1 {
		t.Fatalf("epochs %v, %d at a time", ran.epochs, ran.most)
	}
}

func mustAny(t *testing.T, x *names.Names) actor.Ref {
	t.Helper()
	ref, err := x.Wait(within(t), "boss", names.RoundRobin())
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func TestASingletonYieldsAndComesBack(t *testing.T) {
	r := newRig(t, 2)
	ran := &runs{}
	r.singletons(t, ran)
	first := r.boss(0)
	at := int(first[1] - '0')
	other := 1 - at
	keeper, _ := r.Nodes[at].System.Lookup(names.SingletonName("boss"))
	if _, err := r.Nodes[at].System.Ask(within(t), keeper, names.Yield{}); err != nil {
		t.Fatal(err)
	}
	r.boss(at, r.Nodes[other].Name)
	// It ends by itself: the only one that competes has it again.
	if _, err := r.Nodes[other].System.Ask(within(t), mustAny(t, r.names[other]), "fail"); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "it runs a third time", func() bool { ran.mu.Lock(); defer ran.mu.Unlock(); return len(ran.nodes) == 3 })
	if _, err := r.Nodes[at].System.Ask(within(t), keeper, names.Compete{}); err != nil {
		t.Fatal(err)
	}
	otherKeeper, _ := r.Nodes[other].System.Lookup(names.SingletonName("boss"))
	if _, err := r.Nodes[other].System.Ask(within(t), otherKeeper, names.Yield{}); err != nil {
		t.Fatal(err)
	}
	r.boss(other, first)
	ran.mu.Lock()
	defer ran.mu.Unlock()
	if ran.most != 1 {
		t.Fatalf("%d ran at a time", ran.most)
	}
}
