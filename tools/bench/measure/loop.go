package measure

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// PerOp returns the nanoseconds that one operation takes. f does n of them; n grows until a run takes long enough to be trusted.
func PerOp(ctx context.Context, f func(n int) error) (float64, error) {
	const enough = 300 * time.Millisecond
	for n := 1000; ; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		begun := time.Now()
		if err := f(n); err != nil {
			return 0, err
		}
		took := time.Since(begun)
		if took >= enough {
			return float64(took.Nanoseconds()) / float64(n), nil
		}
		// Aim a fifth beyond, and grow a hundredfold at most from a figure that says little.
		factor := min(100, max(2, 1.2*float64(enough)/float64(max(took, time.Microsecond))))
		n = int(float64(n) * factor)
	}
}

// Client is one end of a closed loop: it sends the next request when the answer to the last is there.
type Client interface {
	// Exchange sends one request and checks its answer.
	Exchange() error
	Close() error
}

// Loop is a closed loop over many clients.
type Loop struct {
	Clients int
	Warm    time.Duration // not measured; 0 is 1 s, in which a server with a thousand new agents has collected what making them has left
	Measure time.Duration // 0 is 1.5 s
	// Stall is how long a client may be without an answer at the end before it is a failure; 0 is 5 s.
	Stall time.Duration
}

// Run dials the clients, lets them all go at once, and returns the exchanges a second within the measured time. The first error of any client fails it.
func (l Loop) Run(ctx context.Context, dial func(ctx context.Context) (Client, error)) (perSecond float64, err error) {
	warm, measure, stall := orDefault(l.Warm, time.Second), orDefault(l.Measure, 1500*time.Millisecond), orDefault(l.Stall, 5*time.Second)
	clients := make([]Client, 0, l.Clients)
	var closing sync.Once
	closeAll := func() {
		closing.Do(func() {
			for _, c := range clients {
				err = errors.Join(err, ignoreAfter(err, c.Close()))
			}
		})
	}
	defer closeAll()
	for range l.Clients {
		c, err := dial(ctx)
		if err != nil {
			return 0, fmt.Errorf("client %d: %w", len(clients), err)
		}
		clients = append(clients, c)
	}

	var (
		stop   atomic.Bool
		counts = make([]paddedCount, l.Clients)
		failed = make(chan error, l.Clients)
		all    sync.WaitGroup
	)
	for i, c := range clients {
		all.Go(func() {
			for !stop.Load() {
				if err := c.Exchange(); err != nil {
					failed <- fmt.Errorf("client %d after %d exchanges: %w", i, counts[i].n.Load(), err)
					return
				}
				counts[i].n.Add(1)
			}
		})
	}
	total := func() (sum int64) {
		for i := range counts {
			sum += counts[i].n.Load()
		}
		return sum
	}
	err = pause(ctx, warm, failed)
	before, begun := total(), time.Now()
	if err == nil {
		err = pause(ctx, measure, failed)
	}
	done, took := total()-before, time.Since(begun)
	stop.Store(true)

	gone := make(chan struct{})
	go func() { all.Wait(); close(gone) }()
	select {
	case <-gone:
	case <-time.After(stall):
		// Closing makes them return.
		if err == nil {
			err = fmt.Errorf("a client got no answer for %v", stall)
		}
		closeAll()
		<-gone
	}
	if err != nil {
		return 0, err
	}
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(done) / took.Seconds(), nil
	}
}

// paddedCount keeps the counters of two clients out of one cache line.
type paddedCount struct {
	n atomic.Int64
	_ [56]byte
}

func orDefault(d, otherwise time.Duration) time.Duration {
	if d == 0 {
		return otherwise
	}
	return d
}

// ignoreAfter drops the complaint of closing what has failed before.
func ignoreAfter(err, closing error) error {
	if err != nil {
		return nil
	}
	return closing
}

func pause(ctx context.Context, d time.Duration, failed <-chan error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
