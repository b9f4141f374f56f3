package clustertest

import (
	"context"
	"time"

	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
)

// Names is the directory of names on the node, whose actor it starts.
func (n *Node) Names() *names.Names {
	n.c.t.Helper()
	x, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh, Metrics: n.Metrics})
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.Spawn(x.Spec())
	return x
}

// Leases opens those of the node, which end with it at the end of the test: what holds them ends first.
func (n *Node) Leases() *lease.Leases {
	n.c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	leases, err := lease.Open(ctx, n.Node, n.Members, lease.Config{Log: n.c.cfg.Log})
	if err != nil {
		n.c.t.Fatal(err)
	}
	n.c.t.Cleanup(func() {
		n.Leave()
		if err := leases.Close(); err != nil {
			n.c.t.Error(err)
		}
	})
	return leases
}
