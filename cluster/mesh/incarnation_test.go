package mesh_test

import (
	"errors"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
)

// A node whose name's lease has ended goes on under another incarnation, without a restart: to others it has died and come back.
func TestANodeThatRegistersAnewIsAnotherOneToOthers(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{Lease: soonRenewed})
	a, b := c.Nodes[0], c.Nodes[1]
	home := b.Spawn(echoes())
	former := a.See(home)
	if v, err := a.System.Ask(t.Context(), former, 1); v != 1 || err != nil {
		t.Fatal(v, err)
	}
	before := b.Node.Lease().Incarnation
	events := make(chan cluster.Event, 64)
	stop := a.Members.Watch(func(e cluster.Event) { events <- e })
	defer stop()

	kv, err := b.Node.JetStream().KeyValue(t.Context(), "skua_nodes")
	if err != nil {
		t.Fatal(err)
	}
	if err := kv.Purge(t.Context(), b.Name); err != nil { // what another node does at the end of a lease
		t.Fatal(err)
	}
	clustertest.Eventually(t, "b has registered anew", func() bool { l := b.Node.Lease(); return l.Held && l.Incarnation > before })
	now := b.Node.Lease().Incarnation
	clustertest.Eventually(t, "a reaches it under the new incarnation", func() bool { return a.Mesh.Reaches(b.Name, now) && b.Mesh.Reaches(a.Name, a.Node.Lease().Incarnation) })

	if _, err := a.System.Ask(t.Context(), former, 2); !errors.Is(err, actor.ErrUnreachable) {
		t.Errorf("a Ref of the former incarnation: %v", err)
	}
	found, err := a.Mesh.Lookup(t.Context(), b.Name, "echo")
	if err != nil || found == former || found.Home().Incarnation() != now {
		t.Fatalf("%v at %d, was %v at %d: %v", found, now, former, before, err)
	}
	if v, err := a.System.Ask(t.Context(), found, 3); v != 3 || err != nil {
		t.Errorf("the same actor under the new incarnation: %v, %v", v, err)
	}
	if v, err := b.System.Ask(t.Context(), home, 4); v != 4 || err != nil {
		t.Errorf("at home its own Ref goes on: %v, %v", v, err)
	}
	back := b.See(a.Spawn(echoes()))
	if v, err := b.System.Ask(t.Context(), back, 5); v != 5 || err != nil {
		t.Errorf("b asks a: %v, %v", v, err)
	}
	var died, came bool
	clustertest.Eventually(t, "a has heard of a death, then of a node", func() bool {
		select {
		case e := <-events:
			died = died || e.Member.Incarnation == before && e.Member.State == cluster.Dead
			came = died && (came || e.Member.Incarnation == now && e.Member.State == cluster.Alive)
		default:
		}
		return came
	})
}
