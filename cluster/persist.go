package cluster

import (
	"context"
	"time"
)

const (
	// persistFor is how long Persist goes on when its context has no deadline: JetStream's elections take up to 12 s.
	persistFor = 30 * time.Second
	// persistAttempt bounds one attempt. What JetStream was asked while it had no leader is never answered.
	persistAttempt = 3 * time.Second
	persistPause   = 250 * time.Millisecond
)

// Persist asks JetStream for something until it answers: while it elects a leader requests are lost, until enough servers are there it refuses them, and what one server has made others may not know at once.
// try is called with a bounded context, again after each failure of that kind, until ctx ends, or for 30 s if that has no deadline. Other errors are returned at once.
func (n *Node) Persist(ctx context.Context, try func(ctx context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, persistFor)
		defer cancel()
	}
	told := false
	for {
		attempt, cancel := context.WithTimeout(ctx, persistAttempt)
		err := try(attempt)
		cancel()
		if err == nil || !passing(err) || ctx.Err() != nil {
			return err
		}
		if !told {
			told = true
			n.log.Info("cluster: JetStream is not ready, it is asked again", "err", err)
		}
		if pause(ctx, persistPause) != nil {
			return err
		}
	}
}
