package client

import (
	"fmt"
	"math"
	"sync"

	"github.com/skua-go/skua/net/packet"
)

// pushQueue runs handlers one at a time in the order of arrival, on a goroutine that lives while there are any to run.
type pushQueue struct {
	handling sync.Mutex // with Options.Inline: held while a handler runs

	mu      sync.Mutex
	waiting []func()
	bytes   int
	running bool
	stopped bool
}

// pushCost is what a push counts for besides its body.
const pushCost = 64

// push gives a push to its handlers.
func (c *Client) push(m packet.Message) error {
	c.stats.pushes.Add(1)
	c.handlers.RLock()
	on, every := c.on[m.Route], c.onAny
	c.handlers.RUnlock()
	if on == nil && every == nil {
		c.stats.unhandled.Add(1)
		return nil
	}
	route, body := m.Route, m.Body
	if !c.opts.Inline {
		body = append([]byte(nil), body...)
	}
	return c.handle(len(body)+pushCost, c.opts.MaxPushes, func() {
		if on != nil {
			on(body)
		}
		if every != nil {
			every(route, body)
		}
	})
}

// emit tells of an event, behind the pushes that came before it. There are a few a connection, so they have no bound of their own.
func (c *Client) emit(e Event) {
	if c.opts.OnEvent != nil {
		_ = c.handle(0, math.MaxInt, func() { c.opts.OnEvent(e) })
	}
}

func (c *Client) handle(cost, limit int, f func()) error {
	if c.opts.Inline {
		c.pushes.inline(f)
		return nil
	}
	return c.pushes.add(cost, limit, f)
}

// inline runs f here, one at a time.
func (q *pushQueue) inline(f func()) {
	q.handling.Lock()
	defer q.handling.Unlock()
	if !q.isStopped() {
		f()
	}
}

func (q *pushQueue) add(cost, limit int, f func()) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.stopped {
		return nil // fail has the reason
	}
	if q.bytes+cost > limit && len(q.waiting) > 0 {
		return fmt.Errorf("%w: %d pushes, %d bytes", ErrSlowHandlers, len(q.waiting), q.bytes)
	}
	q.waiting = append(q.waiting, func() {
		f()
		q.mu.Lock()
		q.bytes -= cost
		q.mu.Unlock()
	})
	q.bytes += cost
	if !q.running {
		q.running = true
		go q.run() // ends when none waits; nothing waits for it, since a handler may be what closes the client
	}
	return nil
}

func (q *pushQueue) run() {
	for {
		q.mu.Lock()
		batch := q.waiting
		q.waiting = nil
		if len(batch) == 0 || q.stopped {
			q.running = false
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		for _, f := range batch {
			if q.isStopped() {
				break
			}
			f()
		}
	}
}

func (q *pushQueue) isStopped() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.stopped
}

func (q *pushQueue) stop() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.waiting = nil
}
