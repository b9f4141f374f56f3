package cluster

import (
	"context"
	"fmt"
	"sync"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// readAtOnce is how many names are read at a time.
const readAtOnce = 32

// Registered are all nodes whose names are registered, with the incarnation of each: whoever is not among them, or under another incarnation, can't trust its
// lease any more. It asks the leader of the bucket, as any other server may be behind; an answer without what this node has written itself is an error. It blocks until ctx ends at most.
func (n *Node) Registered(ctx context.Context) (map[string]uint64, error) {
	all, err := n.registered(ctx)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading the registered names: %w", err)
	}
	return all, nil
}

func (n *Node) registered(ctx context.Context) (map[string]uint64, error) {
	own, _ := n.revision()
	stream, err := n.js.Stream(ctx, "KV_"+bucketName)
	if err != nil {
		return nil, err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(nodeSubject(">")))
	if err != nil {
		return nil, err
	}
	if info.State.LastSeq < own {
		return nil, fmt.Errorf("%w: revision %d, this node has written %d", errStale, info.State.LastSeq, own)
	}
	var mu sync.Mutex
	all := map[string]uint64{}
	reading, ctx := errgroup.WithContext(ctx)
	reading.SetLimit(readAtOnce)
	for subject := range info.State.Subjects {
		name := subject[len(nodeSubject("")):]
		reading.Go(func() error {
			r, err := n.read(ctx, name)
			if err == nil && r.incarnation != 0 {
				mu.Lock()
				all[name] = r.incarnation
				mu.Unlock()
			}
			return err
		})
	}
	return all, reading.Wait()
}
