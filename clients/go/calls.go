package client

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/net/packet"
)

// call is a request that waits. Whoever takes it out of the table ends it.
type call struct {
	answered chan struct{} // of Request: closed when the rest is set
	body     []byte
	failed   bool
	err      error

	login bool // its answer may have a token

	then  func([]byte, error) // of RequestFunc
	route string

	mu    sync.Mutex
	timer *time.Timer
	over  bool
}

func (k *call) end(body []byte, failed bool, err error) {
	if k.then == nil {
		k.body, k.failed, k.err = body, failed, err
		close(k.answered)
		return
	}
	k.mu.Lock()
	k.over = true
	if k.timer != nil {
		k.timer.Stop()
	}
	k.mu.Unlock()
	switch {
	case err != nil:
		k.then(nil, fmt.Errorf("client: request %q: %w", k.route, err))
	case failed:
		k.then(nil, answerError(body))
	default:
		k.then(body, nil)
	}
}

// expire calls f after the timeout, unless the call has ended.
func (k *call) expire(timeout time.Duration, f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.over {
		k.timer = time.AfterFunc(timeout, f)
	}
}

// calls are the requests of a client; its mutex guards them.
type calls struct {
	last      uint64 // id given out last
	pending   map[uint64]*call
	abandoned map[uint64]struct{} // given up, so that their answers are late and not unknown
	order     []uint64            // of abandoned, oldest first
	highest   uint64              // id answered
}

// maxAbandoned is how many given-up requests are remembered. The answer to an older one counts as unknown.
const maxAbandoned = 4096

// sendWhenReady is send that waits for a new session to log in.
func (c *Client) sendWhenReady(ctx context.Context, timeout <-chan time.Time, s *Session, route string, body []byte, waits *call) (id uint64, err error) {
	for {
		id, ready, err := c.send(s, route, body, waits)
		if ready == nil {
			return id, err
		}
		if err := c.enqueue(); err != nil {
			return 0, err
		}
		select {
		case <-ready:
			err = nil
		case <-ctx.Done():
			err = context.Cause(ctx)
		case <-timeout:
			err = fmt.Errorf("no session in %v: %w", c.opts.RequestTimeout, context.DeadlineExceeded)
		}
		c.mu.Lock()
		c.waiting--
		c.mu.Unlock()
		if err != nil {
			return 0, err
		}
	}
}

func (c *Client) enqueue() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting >= c.opts.MaxPending {
		return fmt.Errorf("%w: %d wait for a session", ErrTooManyRequests, c.waiting)
	}
	c.waiting++
	return nil
}

// send queues a request (with its call) or a notify (without). Ids are given out in the order of sending. When the session has not logged in and s is not its own,
// there is a channel that is closed when it has, besides ErrNotLoggedIn.
func (c *Client) send(s *Session, route string, body []byte, waits *call) (id uint64, ready <-chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.err != nil:
		return 0, nil, c.err
	case s == nil && c.ready != nil:
		return 0, c.ready, ErrNotLoggedIn
	case s != nil && (s.gen != c.session.gen || c.link == nil):
		return 0, nil, ErrSessionLost
	}
	m := packet.Message{Type: packet.Notify, Route: route, Body: body}
	if waits != nil {
		if n := len(c.calls.pending); n >= c.opts.MaxPending {
			return 0, nil, fmt.Errorf("%w: %d", ErrTooManyRequests, n)
		}
		m.Type, m.ID = packet.Request, c.calls.last+1
	}
	if err := c.write(m); err != nil {
		return 0, nil, err
	}
	if waits == nil {
		c.stats.notifies.Add(1)
		return 0, nil, nil
	}
	c.calls.last = m.ID
	if c.calls.pending == nil {
		c.calls.pending = make(map[uint64]*call)
	}
	c.calls.pending[m.ID] = waits
	c.stats.requests.Add(1)
	return m.ID, nil, nil
}

// write queues a message on the connection, and keeps it for the next one when the session can have one; c.mu is held.
func (c *Client) write(m packet.Message) error {
	l, r := c.link, &c.session.ring
	if l != nil {
		if n := len(l.out); n >= c.opts.MaxBacklog {
			return fmt.Errorf("%w: %d bytes do already", ErrBacklog, n)
		}
	}
	if !c.session.on {
		if l == nil {
			return ErrSessionLost // it ends at this moment
		}
		out, err := packet.AppendData(l.out, m, c.session.routes)
		if err == nil {
			l.queue(out)
		}
		return err
	}
	if n, size := r.packages(), len(r.bytes()); n >= c.opts.RingPackages || n > 0 && size+len(m.Body) > c.opts.RingBytes {
		return fmt.Errorf("%w: %d packages, %d bytes", ErrRing, n, size)
	}
	frame, err := r.put(func(dst []byte) ([]byte, error) { return packet.AppendData(dst, m, c.session.routes) })
	if err == nil && l != nil {
		l.queue(append(l.out, frame...))
	}
	return err
}

// abandon gives up a request and says whether it was still waiting.
func (c *Client) abandon(id uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.calls
	if _, ok := k.pending[id]; !ok {
		return false
	}
	delete(k.pending, id)
	if k.abandoned == nil {
		k.abandoned = make(map[uint64]struct{})
	}
	k.abandoned[id] = struct{}{}
	k.order = append(k.order, id)
	if len(k.order) > maxAbandoned {
		delete(k.abandoned, k.order[0]) // an answered one is gone already
		k.order = append(k.order[:0], k.order[1:]...)
	}
	return true
}

// take empties the table; c.mu is held.
func (k *calls) take() []*call {
	all := make([]*call, 0, len(k.pending))
	for _, call := range k.pending {
		all = append(all, call)
	}
	k.pending, k.abandoned, k.order, k.highest = nil, nil, nil, k.last
	return all
}

func failAll(all []*call, err error) {
	for _, call := range all {
		call.end(nil, false, err)
	}
}

// answer gives an answer to whom it belongs.
func (c *Client) answer(m packet.Message) {
	c.stats.answers.Add(1)
	if c.opts.OnAnswer != nil {
		c.opts.OnAnswer(m.ID)
	}
	if call := c.answered(m.ID); call != nil {
		if call.login && !m.Error {
			c.admitted(m.Body)
		}
		call.end(append([]byte(nil), m.Body...), m.Error, nil)
	}
}

// answered takes out the call that an answer is for, if somebody still waits for it.
func (c *Client) answered(id uint64) *call {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.calls
	call, ok := k.pending[id]
	if !ok {
		if _, late := k.abandoned[id]; !late {
			c.stats.unknown.Add(1)
			return nil
		}
		delete(k.abandoned, id)
		c.stats.late.Add(1)
	}
	if id < k.highest {
		c.stats.outOfOrder.Add(1)
	}
	k.highest = max(k.highest, id)
	delete(k.pending, id)
	return call
}
