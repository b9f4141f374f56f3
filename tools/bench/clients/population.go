package clients

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/net/packet"
)

// dialing is how many clients connect at a time.
const dialing = 64

// heartbeat is what gates ask for by default.
const heartbeat = 10 * time.Second

// population is many clients that are alive and do next to nothing.
type population struct {
	clients []*client
	running sync.WaitGroup
	mu      sync.Mutex
	err     error // of the first that failed
	closed  bool
}

// populate connects count clients, each of which goes on with live in a goroutine of its own once it is there. End it with close.
func populate(ctx context.Context, count int, dial func(ctx context.Context, i int) (*client, error), live func(c *client) error) (*population, error) {
	p := &population{clients: make([]*client, count)}
	all, ctx := errgroup.WithContext(ctx)
	for worker := range dialing {
		all.Go(func() error {
			for i := worker; i < count; i += dialing {
				c, err := dial(ctx, i)
				if err != nil {
					return fmt.Errorf("client %d of %d: %w", i, count, err)
				}
				p.clients[i] = c
				p.running.Go(func() { p.ended(i, live(c)) })
			}
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		return nil, errors.Join(err, p.close())
	}
	return p, nil
}

func (p *population) ended(i int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.closed {
		p.err = fmt.Errorf("client %d of %d: %w", i, len(p.clients), err)
	}
}

// close ends all and tells whether one had ended before.
func (p *population) close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, c := range p.clients {
		if c != nil {
			_ = c.Close() // it has done its part
		}
	}
	p.running.Wait()
	return p.err
}

// idle says that it is there when it is time to, at a moment of its own within the interval, until the connection ends.
func (c *client) idle() error {
	next := time.Now().Add(rand.N(heartbeat))
	for {
		if err := c.conn.SetReadDeadline(next); err != nil {
			return err
		}
		_, err := c.read(packet.Heartbeat)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			next = next.Add(heartbeat)
			if err := c.write(packet.AppendHeartbeat(nil)); err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
}
