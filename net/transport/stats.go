package transport

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
)

// Stats counts what a server's connections do. The zero value is ready. Its methods may be called from any goroutine.
//
// What goes over a connection is counted in the connection, and added up by those who want to know: counters that all connections write to would have to
// travel between the cores with each frame.
type Stats struct {
	open      atomic.Int64
	accepted  atomic.Uint64
	acceptErr atomic.Uint64
	panics    atomic.Uint64

	mu      sync.Mutex
	refused map[string]uint64
	closed  map[string]uint64
	servers map[*server]struct{} // that run
	ended   totals               // of those that have ended
}

// Snapshot is what Stats held at one moment. Totals count from the start and never fall; Open, HalfOpen and Queued are of now.
type Snapshot struct {
	Open      int64             // connections
	HalfOpen  int64             // those of them that have not shaken hands
	Queued    int64             // bytes waiting to be written, of all connections
	Accepted  uint64            // connections, the refused ones not included
	Refused   map[string]uint64 // connections by reason: "full", "address", "half-open", "half-open-prefix", "shutdown", "handler"
	Closed    map[string]uint64 // connections by reason, see Class
	FramesIn  uint64
	FramesOut uint64 // written to the operating system
	BytesIn   uint64
	BytesOut  uint64
	AcceptErr uint64 // failures of the listener that passed, such as having no file descriptors left
	Panics    uint64 // of Handlers and Receivers
}

// traffic is what went over one connection. Each counter has one writer at a time.
type traffic struct{ framesIn, framesOut, bytesIn, bytesOut atomic.Uint64 }

// totals are sums of it.
type totals struct{ framesIn, framesOut, bytesIn, bytesOut uint64 }

func (t *totals) add(c *traffic) {
	t.framesIn += c.framesIn.Load()
	t.framesOut += c.framesOut.Load()
	t.bytesIn += c.bytesIn.Load()
	t.bytesOut += c.bytesOut.Load()
}

func (t *totals) sum(o totals) {
	t.framesIn += o.framesIn
	t.framesOut += o.framesOut
	t.bytesIn += o.bytesIn
	t.bytesOut += o.bytesOut
}

// Snapshot returns the counters, in a time that grows with the open connections: 1 ms for some 20,000. The maps are the caller's.
func (s *Stats) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := Snapshot{
		Open: s.open.Load(), Accepted: s.accepted.Load(), Refused: maps.Clone(s.refused), Closed: maps.Clone(s.closed),
		AcceptErr: s.acceptErr.Load(), Panics: s.panics.Load(),
	}
	all := s.ended
	for srv := range s.servers {
		t, queued, halfOpen := srv.traffic()
		all.sum(t)
		n.Queued += queued
		n.HalfOpen += halfOpen
	}
	n.FramesIn, n.FramesOut, n.BytesIn, n.BytesOut = all.framesIn, all.framesOut, all.bytesIn, all.bytesOut
	return n
}

// traffic adds up what went over all connections of the server.
func (s *server) traffic() (all totals, queued, halfOpen int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	all = s.ended
	for c := range s.conns {
		all.add(&c.traffic)
		queued += int64(c.Queued())
	}
	return all, queued, int64(s.halfOpen)
}

func (s *Stats) register(srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers = map[*server]struct{}{}
	}
	s.servers[srv] = struct{}{}
}

// unregister keeps the totals of a server that has ended.
func (s *Stats) unregister(srv *server) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.servers, srv)
	t, _, _ := srv.traffic()
	s.ended.sum(t)
}

func (s *Stats) refuse(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = make(map[string]uint64)
	}
	s.refused[class]++
}

func (s *Stats) close(class string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed == nil {
		s.closed = make(map[string]uint64)
	}
	s.closed[class]++
}

// Class names the kind of a reason in one word, for counters and log fields: "peer", "backlog", "frame", "handshake", "slow-frame", "idle", "rate",
// "panic", "shutdown", "read", "write", "closed", and for those that were refused "full", "address", "half-open", "half-open-prefix"; "handler" for every
// reason that this package does not know.
func Class(reason error) string {
	for _, c := range []struct {
		err  error
		name string
	}{
		{ErrPeerClosed, "peer"},
		{ErrBacklog, "backlog"},
		{ErrFrameTooLong, "frame"},
		{ErrFrame, "frame"},
		{ErrHandshakeTimeout, "handshake"},
		{ErrFrameTimeout, "slow-frame"},
		{ErrIdle, "idle"},
		{ErrRate, "rate"},
		{ErrPanic, "panic"},
		{ErrShutdown, "shutdown"},
		{ErrRead, "read"},
		{ErrWrite, "write"},
		{ErrClosed, "closed"},
		{ErrTooManyConns, "full"},
		{ErrTooManyFromAddr, "address"},
		{ErrHalfOpen, "half-open"},
		{ErrHalfOpenPrefix, "half-open-prefix"},
	} {
		if errors.Is(reason, c.err) {
			return c.name
		}
	}
	return "handler"
}
