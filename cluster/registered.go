package cluster

import (
	"context"
	"encoding/json"
	"errors"
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
			all[e.Key()] = incarnationOf(e)
		}
	}
}

// Registration is the incarnation under which a name is registered; 0 if it is not.
func (n *Node) Registration(ctx context.Context, name string) (uint64, error) {
	e, err := n.kv.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("cluster: reading the registration of %s: %w", name, err)
	}
	return incarnationOf(e), nil
}

// Evict ends the registration of another node under an incarnation, if it has that still: when it wants to renew it, it learns that it has lost its name. Whoever
// calls this knows that the node is without a connection, and for how long: it may trust its lease until it tries to renew that.
func (n *Node) Evict(ctx context.Context, name string, incarnation uint64) error {
	e, err := n.kv.Get(ctx, name)
	if errors.Is(err, jetstream.ErrKeyNotFound) || err == nil && incarnationOf(e) != incarnation {
		return nil
	}
	if err == nil {
		err = n.kv.Delete(ctx, name, jetstream.LastRevision(e.Revision()))
	}
	if err != nil {
		return fmt.Errorf("cluster: evicting %s: %w", name, err)
	}
	return nil
}

// incarnationOf is that of an entry. Its first revision is its incarnation.
func incarnationOf(e jetstream.KeyValueEntry) uint64 {
	var content entry
	if err := json.Unmarshal(e.Value(), &content); err == nil && content.Incarnation != 0 {
		return content.Incarnation
	}
	return e.Revision()
}
