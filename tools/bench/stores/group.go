package stores

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/skua-go/skua/tools/bench/measure"
)

// grouped is one write that waits for the transaction which it shares.
type grouped struct {
	patch []byte
	done  chan error
}

// BareGroup is how many microseconds the one in the middle waits of the writes that so many goroutines make, each one after the other, through the least that shares
// transactions: a channel, and a goroutine that inserts all that wait as one row, as patches of some 60 bytes, and answers when the bare engine has it on the disk.
// Nothing is checked, compared, judged or kept in memory: it is how quick this machine can be with that many who wait.
func BareGroup(owners int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		return onBare(ctx, 1, small(0), func(b *bare) (float64, error) {
			if _, err := b.db.ExecContext(ctx, `CREATE TABLE log (seq INTEGER PRIMARY KEY, data BLOB NOT NULL) STRICT`); err != nil {
				return 0, err
			}
			queue := make(chan grouped, owners)
			ended := make(chan error, 1)
			go func() { ended <- b.group(ctx, queue, owners) }()
			took, err := writeInGroups(queue, owners)
			close(queue)
			if err := errors.Join(err, <-ended); err != nil {
				return 0, err
			}
			return float64(median(took).Nanoseconds()) / 1000, nil
		})
	}
}

func writeInGroups(queue chan<- grouped, owners int) (took []time.Duration, err error) {
	type result struct {
		took []time.Duration
		err  error
	}
	results := make(chan result, owners)
	until := time.Now().Add(commitFor)
	for range owners {
		go func() {
			r := result{}
			w := grouped{patch: make([]byte, 60), done: make(chan error, 1)}
			for begun := time.Now(); r.err == nil && begun.Before(until); {
				queue <- w
				r.err = <-w.done
				now := time.Now()
				r.took = append(r.took, now.Sub(begun))
				begun = now
			}
			results <- r
		}()
	}
	for range owners {
		r := <-results
		took, err = append(took, r.took...), errors.Join(err, r.err)
	}
	return took, err
}

// group serves the queue until it is closed.
func (b *bare) group(ctx context.Context, queue <-chan grouped, most int) error {
	insert, err := b.db.PrepareContext(ctx, `INSERT INTO log (data) VALUES (?)`)
	if err != nil {
		return err
	}
	defer func() { _ = insert.Close() }()
	var row []byte
	var group []grouped
	for first := range queue {
		group, row = append(group[:0], first), append(row[:0], first.patch...)
		for looks := 0; looks < 10 && len(group) < most; { // those who have just been answered come again at once
			select {
			case w, open := <-queue:
				if !open {
					looks = 10
					break
				}
				group, row, looks = append(group, w), append(row, w.patch...), 0
			default:
				looks++
				runtime.Gosched()
			}
		}
		err := b.within(ctx, func() error {
			_, err := insert.ExecContext(ctx, row)
			return err
		})
		for _, w := range group {
			w.done <- err
		}
	}
	return nil
}
