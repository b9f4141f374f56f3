package client

import (
	"fmt"

	"github.com/skua-go/skua/net/packet"
)

// call is a request that waits.
type call struct {
	answered chan struct{} // closed when body and failed are set
	body     []byte
	failed   bool
}

func newCall() *call { return &call{answered: make(chan struct{})} }

// calls are the requests of a connection; the Client's mutex guards them.
type calls struct {
	last      uint64 // id given out last
	pending   map[uint64]*call
	abandoned map[uint64]struct{} // given up, so that their answers are late and not unknown
	order     []uint64            // of abandoned, oldest first
	highest   uint64              // id answered
}

// maxAbandoned is how many given-up requests are remembered. The answer to an older one counts as unknown.
const maxAbandoned = 4096

// send queues a request (with its call) or a notify (without). Ids are given out in the order of sending.
func (c *Client) send(route string, body []byte, call *call) (id uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return 0, c.err
	}
	m := packet.Message{Type: packet.Notify, Route: route, Body: body}
	if call != nil {
		if n := len(c.calls.pending); n >= c.opts.MaxPending {
			return 0, fmt.Errorf("%w: %d", ErrTooManyRequests, n)
		}
		m.Type, m.ID = packet.Request, c.calls.last+1
	}
	if n := len(c.out); n > 0 && n+len(body) > c.opts.MaxBacklog {
		return 0, fmt.Errorf("%w: %d bytes", ErrBacklog, n)
	}
	out, err := packet.AppendData(c.out, m, c.routes)
	if err != nil {
		return 0, err
	}
	if call != nil {
		c.calls.last = m.ID
		c.calls.pending[m.ID] = call
		c.stats.requests.Add(1)
	} else {
		c.stats.notifies.Add(1)
	}
	c.queue(out)
	return m.ID, nil
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

// answer gives an answer to whom it belongs.
func (c *Client) answer(m packet.Message) {
	c.stats.answers.Add(1)
	if c.opts.OnAnswer != nil {
		c.opts.OnAnswer(m.ID)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	k := &c.calls
	call, ok := k.pending[m.ID]
	if !ok {
		if _, late := k.abandoned[m.ID]; !late {
			c.stats.unknown.Add(1)
			return
		}
		delete(k.abandoned, m.ID)
		c.stats.late.Add(1)
	}
	if m.ID < k.highest {
		c.stats.outOfOrder.Add(1)
	}
	k.highest = max(k.highest, m.ID)
	if call == nil {
		return
	}
	delete(k.pending, m.ID)
	call.body, call.failed = append([]byte(nil), m.Body...), m.Error
	close(call.answered)
}
