package names_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/names"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is some nodes with Names.
type rig struct {
	*clustertest.Cluster
	t     *testing.T
	names []*names.Names
	load  []float64
}

func newRig(t *testing.T, n int) *rig {
	t.Helper()
	types := wire.NewTypes()
	names.WireTypes(types)
	r := &rig{t: t, load: make([]float64, n), names: make([]*names.Names, n)}
	for i := range r.load {
		r.load[i] = float64(i) / 10
	}
	r.Cluster = clustertest.Start(t, n, clustertest.Config{Types: types, Members: func(i int) cluster.MembersConfig {
		load := r.load[i]
		return cluster.MembersConfig{Beat: 50 * time.Millisecond, Suspect: 300 * time.Millisecond, Dead: time.Second, Load: func() cluster.Load { return cluster.Load{CPU: load} }}
	}})
	for i := range n {
		r.open(i)
	}
	return r
}

func (r *rig) open(i int) {
	r.t.Helper()
	n := r.Nodes[i]
	x, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh, Metrics: n.Metrics, MaxOwn: 1000, MaxOther: 900})
	if err != nil {
		r.t.Fatal(err)
	}
	n.Spawn(x.Spec())
	clustertest.Eventually(r.t, "names run", func() bool { _, ok := n.System.Lookup(names.AgentName); return ok })
	r.names[i] = x
}

// spawn starts an actor that does nothing, with a name.
func (r *rig) spawn(i int, name string, o names.Options) actor.Ref {
	r.t.Helper()
	ref := r.Nodes[i].Spawn(actor.Spec{New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, _ any) { c.Reply(c.System().Node().Name(), nil) })
	}})
	if err := r.names[i].Register(name, ref, o); err != nil {
		r.t.Fatal(err)
	}
	return ref
}

// sees waits until a node sees a name on just those nodes.
func (r *rig) sees(i int, name string, nodes ...string) {
	r.t.Helper()
	clustertest.Eventually(r.t, fmt.Sprintf("%s sees %s on %v", r.Nodes[i].Name, name, nodes), func() bool {
		var on []string
		for _, in := range r.names[i].Query(name) {
			on = append(on, in.Node)
		}
		return slices.Equal(on, nodes)
	})
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestANameIsKnownOnAllNodesAndReachesItsActors(t *testing.T) {
	r := newRig(t, 3)
	found := make(chan actor.Ref, 1)
	go func() {
		ref, err := r.names[2].Wait(within(t), "shop", names.RoundRobin())
		if err != nil {
			t.Error(err)
		}
		found <- ref
	}()
	r.spawn(0, "shop", names.Options{Meta: "m"})
	v, err := r.Nodes[2].System.Ask(within(t), <-found, "who")
	if err != nil || v != "n0" {
		t.Fatalf("answered %v, %v", v, err)
	}
	b := r.spawn(1, "shop", names.Options{})
	b2 := r.spawn(1, "shop", names.Options{Weight: 2})
	for i := range 3 {
		r.sees(i, "shop", "n0", "n1", "n1")
	}
	if in := r.names[2].Query("shop"); in[0].Meta != "m" || in[0].Weight != 1 || in[2].Weight != 2 || in[2].Ref != r.Nodes[2].See(b2) {
		t.Fatalf("%+v", in)
	}
	if !r.names[1].Unregister("shop", b2) || r.names[1].Unregister("shop", b2) {
		t.Fatal("Unregister")
	}
	r.sees(2, "shop", "n0", "n1")
	r.Nodes[1].System.Stop(b, nil)
	for i := range 3 {
		r.sees(i, "shop", "n0")
	}
	if _, err := r.names[0].Any("nobody", names.RoundRobin()); !errors.Is(err, names.ErrNobody) {
		t.Fatal(err)
	}
}

func TestNamesOfADeadNodeAreForgottenAndThoseOfItsSuccessorKnown(t *testing.T) {
	r := newRig(t, 2)
	r.spawn(0, "x", names.Options{})
	r.spawn(1, "x", names.Options{})
	r.sees(0, "x", "n0", "n1")
	r.Nodes[1].Kill()
	r.sees(0, "x", "n0")
	r.Run(1)
	r.Meet()
	r.open(1)
	r.sees(1, "x", "n0")
	r.spawn(1, "x", names.Options{})
	r.sees(0, "x", "n0", "n1")
}

func TestNatsBeingAwayForAMomentChangesNothing(t *testing.T) {
	r := newRig(t, 2)
	r.spawn(0, "x", names.Options{})
	r.sees(1, "x", "n0")
	r.StopNATS()
	r.spawn(0, "y", names.Options{}) // nobody can hear of it now
	r.StartNATS()
	r.sees(1, "y", "n0")
	r.sees(1, "x", "n0")
}

func TestOneOfSeveralIsPicked(t *testing.T) {
	r := newRig(t, 3)
	for i := range 3 {
		r.spawn(i, "x", names.Options{})
	}
	r.sees(0, "x", "n0", "n1", "n2")
	counts := map[string]int{}
	one := func(by names.Pick) string {
		ref, err := r.names[0].Any("x", by)
		if err != nil {
			t.Fatal(err)
		}
		return ref.Node()
	}
	for range 30 {
		counts[one(names.RoundRobin())]++
	}
	if counts["n0"] != 10 || counts["n1"] != 10 || counts["n2"] != 10 {
		t.Fatalf("in turn: %v", counts)
	}
	clustertest.Eventually(t, "loads are known", func() bool {
		m, _ := r.Nodes[0].Members.Find("n2")
		own := r.Nodes[0].Members.Self()
		return m.Load.CPU == 0.2 && own.Load.CPU == 0
	})
	clear(counts)
	for range 300 {
		counts[one(names.LeastLoaded())]++
	}
	if counts["n2"] != 0 || counts["n0"] <= counts["n1"] {
		t.Fatalf("by load (n0 has least, n2 most): %v", counts)
	}
	// The same key has the same place on all nodes, and only what the one that leaves had moves.
	places := map[string]string{}
	clear(counts)
	r.sees(1, "x", "n0", "n1", "n2")
	for k := range 3000 {
		key := fmt.Sprint("player/", k)
		places[key] = one(names.ByKey(key))
		counts[places[key]]++
		if ref, err := r.names[1].Any("x", names.ByKey(key)); err != nil || ref.Node() != places[key] {
			t.Fatalf("%s: %s on n0, %s on n1, %v", key, places[key], ref.Node(), err)
		}
	}
	for node, n := range counts {
		if n < 800 || n > 1200 {
			t.Fatalf("%s has %d of 3000 keys", node, n)
		}
	}
	r.Nodes[2].Members.SetDraining(true)
	clustertest.Eventually(t, "n2 is known to drain", func() bool { m, _ := r.Nodes[0].Members.Find("n2"); return m.Draining })
	for key, before := range places {
		if now := one(names.ByKey(key)); now == "n2" || before != "n2" && now != before {
			t.Fatalf("%s moved from %s to %s", key, before, now)
		}
	}
	if in := r.names[0].Query("x"); len(in) != 3 || !in[2].Draining {
		t.Fatalf("%+v", in)
	}
}

func TestRegistrationsHaveBounds(t *testing.T) {
	r := newRig(t, 2)
	ref := r.spawn(0, "x", names.Options{})
	far := r.Nodes[1].See(ref)
	x := r.names[0]
	for what, err := range map[string]error{
		"no name": x.Register("", ref, names.Options{}), "long name": x.Register(strings.Repeat("n", 151), ref, names.Options{}),
		"long meta": x.Register("n", ref, names.Options{Meta: strings.Repeat("n", 257)}), "weight": x.Register("n", ref, names.Options{Weight: -1}),
		"nobody": x.Register("n", actor.Ref{}, names.Options{}), "remote": r.names[1].Register("n", far, names.Options{}),
	} {
		if !errors.Is(err, names.ErrName) {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range 999 {
		if err := x.Register(fmt.Sprint("n", i), ref, names.Options{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := x.Register("one more", ref, names.Options{}); !errors.Is(err, names.ErrFull) {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the other node takes as many as it may", func() bool { return r.names[1].Known() == 900 })
	r.Nodes[0].System.Stop(ref, nil)
	clustertest.Eventually(t, "all have ended", func() bool { return r.names[1].Known() == 0 && x.Known() == 0 })
}

// A node that stops when it has just joined has asked others for their lists, and the answers may never come.
func TestAnAgentThatStopsWaitsForNoOtherNode(t *testing.T) {
	types := wire.NewTypes()
	names.WireTypes(types)
	c := clustertest.Start(t, 2, clustertest.Config{Types: types, System: func(_ int, cfg *actor.Config) { cfg.CallTimeout = time.Hour }})
	asked := make(chan struct{}, 100)
	c.Nodes[1].Spawn(actor.Spec{Name: names.AgentName, New: func() actor.Actor { // it never answers
		return actor.Func(func(actor *actor.Context, _ any) {
			if actor.IsRequest() {
				_ = actor.Promise()
				asked <- struct{}{}
			}
		})
	}})
	n := c.Nodes[0]
	x, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh})
	if err != nil {
		t.Fatal(err)
	}
	spec := x.Spec()
	spec.StopTimeout = time.Hour
	agent := n.Spawn(spec)
	select {
	case <-asked:
	case <-time.After(20 * time.Second):
		t.Fatal("the other node is not asked")
	}
	ended := n.System.Ended(agent)
	n.System.Stop(agent, nil)
	select {
	case <-ended:
	case <-time.After(20 * time.Second): // it would be an hour
		t.Error("the agent waits for a list")
	}
}
