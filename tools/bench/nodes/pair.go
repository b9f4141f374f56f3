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

// Peer is one of some nodes.
type Peer struct {
	System  *actor.System
	Members *cluster.Members
	Mesh    *mesh.Mesh
}

// Some calls f with nodes that reach each other, one for each of roles, which has that role; an empty one is none.
func Some(ctx context.Context, types *wire.Types, roles []string, f func([]Peer) error) error {
	_, err := withServer(func(url string) (_ float64, err error) {
		var peers []Peer
		for i, role := range roles {
			var has []string
			if role != "" {
				has = append(has, role)
			}
			n, err := open(ctx, url, string(rune('a'+i)), types, has...)
			if err != nil {
				return 0, err
			}
			defer func() { err = errors.Join(err, n.close()) }()
			peers = append(peers, Peer{n.sys, n.members, n.mesh})
		}
		if err := meet(peers); err != nil {
			return 0, err
		}
		return 0, f(peers)
	})
	return err
}

// meet waits until each node reaches each other.
func meet(peers []Peer) error {
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		met := true
		for _, here := range peers {
			for _, there := range peers {
				self := there.Members.Self()
				met = met && (here.Mesh == there.Mesh || here.Mesh.Reaches(self.Name, self.Incarnation))
			}
		}
		switch {
		case met:
			return nil
		case time.Now().After(deadline):
			return errors.New("nodes: they don't reach each other")
		}
	}
}
