package client

import (
	"sync/atomic"
	"time"
)

// Stats is what a Client has seen so far.
type Stats struct {
	RTT        time.Duration // between the last heartbeat and its answer; 0: none yet. Servers that do not answer heartbeats (Pitaya, Nano) make it meaningless.
	Pending    int           // requests without an answer
	Requests   uint64
	Notifies   uint64
	Answers    uint64
	Late       uint64 // answers to requests that were given up
	Unknown    uint64 // answers to no request, or to one that was answered already: the server broke the protocol
	OutOfOrder uint64 // answers that came after the answer to a later request
	Pushes     uint64
	Unhandled  uint64 // pushes without a handler
	BytesIn    uint64
	BytesOut   uint64
	Resumes    uint64 // connections that were lost and made good by another one
}

type counters struct {
	rtt                                              atomic.Int64
	requests, notifies, answers, late, unknown       atomic.Uint64
	outOfOrder, pushes, unhandled, bytesIn, bytesOut atomic.Uint64
	resumes                                          atomic.Uint64
}

// Stats returns the counters.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	pending := len(c.calls.pending)
	c.mu.Unlock()
	s := &c.stats
	return Stats{
		RTT: time.Duration(s.rtt.Load()), Pending: pending, Requests: s.requests.Load(), Notifies: s.notifies.Load(), Answers: s.answers.Load(),
		Late: s.late.Load(), Unknown: s.unknown.Load(), OutOfOrder: s.outOfOrder.Load(), Pushes: s.pushes.Load(), Unhandled: s.unhandled.Load(),
		BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load(), Resumes: s.resumes.Load(),
	}
}
