package cluster

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// Registered are all nodes whose names are registered, with the incarnation of each: whoever is not among them, or under another incarnation, can't trust its
// lease any more. It asks the servers, and blocks until ctx ends at most.
func (n *Node) Registered(ctx context.Context) (map[string]uint64, error) {
	w, err := n.kv.WatchAll(ctx, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the registered names: %w", err)
	}
	defer w.Stop() //nolint:errcheck // it ends with ctx, or the connection, at the latest
	all := map[string]uint64{}
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("cluster: reading the registered names: %w", ctx.Err())
		case e, ok := <-w.Updates():
			if !ok {
				return nil, fmt.Errorf("cluster: reading the registered names: %w", ErrClosed)
			}
			if e == nil { // that was all
				return all, nil
			}
			all[e.Key()] = parseEntry(e.Revision(), e.Value()).Incarnation
		}
	}
}
