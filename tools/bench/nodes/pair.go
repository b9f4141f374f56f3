package nodes

import (
	"context"
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/mesh"
)

// Peer is one of a pair of nodes.
type Peer struct {
	System  *actor.System
	Members *cluster.Members
	Mesh    *mesh.Mesh
}

// Pair calls f with two nodes that reach each other, of which the second has a role.
func Pair(ctx context.Context, types *wire.Types, role string, f func(a, b Peer) error) error {
	_, err := withServer(func(url string) (_ float64, err error) {
		a, err := open(ctx, url, "a", types)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, a.close()) }()
		b, err := open(ctx, url, "b", types, role)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, b.close()) }()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
			if m, ok := a.members.Find("b"); ok && a.mesh.Reaches("b", m.Incarnation) {
				break
			}
			if time.Now().After(deadline) {
				return 0, errors.New("nodes: they don't reach each other")
			}
		}
		return 0, f(Peer{a.sys, a.members, a.mesh}, Peer{b.sys, b.members, b.mesh})
	})
	return err
}
