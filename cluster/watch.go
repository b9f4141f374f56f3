package cluster

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// watchTimeout bounds the making of a bucket's watch.
const watchTimeout = 5 * time.Second

// WatchBucket calls f with the newest entry of each key of a bucket, with nil when these were all, and then with each entry that is written, in order. It blocks until the watch ends: by ctx, or because the node
// has another connection, as the server that kept the watch may have forgotten it. Whoever wants to go on calls it again. An error says that there was no watch.
func (n *Node) WatchBucket(ctx context.Context, kv jetstream.KeyValue, f func(jetstream.KeyValueEntry)) error {
	connected := n.conn.StatusChanged(nats.CONNECTED)
	defer n.conn.RemoveStatusListener(connected)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	late := time.AfterFunc(watchTimeout, cancel)
	w, err := kv.WatchAll(ctx)
	late.Stop()
	if err != nil {
		return err
	}
	defer func() {
		_ = w.Stop() // it fails when the connection has ended, and with it the watch
		cancel()
		for range w.Updates() { // its goroutine may wait for room
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-connected:
			return nil
		case e, ok := <-w.Updates():
			if !ok {
				return nil
			}
			f(e)
		}
	}
}
