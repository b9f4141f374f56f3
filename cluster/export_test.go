package cluster

import (
	"context"
	"time"
)

// What only tests need of the inside.
var (
	StopServer     = stopServer
	ErrServerStuck = errServerStuck
)

// Register registers the name once more, as after a registration that was written and not acknowledged.
func (n *Node) Register(ctx context.Context) error { return n.register(ctx) }

// EndName takes a name away of which a revision was seen for long enough.
func (n *Node) EndName(ctx context.Context, name string, revision uint64) error {
	return n.endName(ctx, name, sighting{revision: revision, at: time.Now().Add(-time.Hour), lease: time.Second})
}
