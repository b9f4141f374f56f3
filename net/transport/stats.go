package transport

import (
	"errors"
	"maps"
	"sync"
	"sync/atomic"
)

// Stats counts what a server's connections do. The zero value is ready. Its methods may be called from any goroutine.
type Stats struct {
	open      atomic.Int64
	accepted  atomic.Uint64
	framesIn  atomic.Uint64
	framesOut atomic.Uint64
	bytesIn   atomic.Uint64
	bytesOut  atomic.Uint64
	queued    atomic.Int64
	acceptErr atomic.Uint64
	panics    atomic.Uint64

	mu      sync.Mutex
	refused map[string]uint64
	closed  map[string]uint64
}

// Snapshot is what Stats held at one moment. Totals count from the start and never fall; Open and Queued are of now.
type Snapshot struct {
	Open      int64             // connections
	Queued    int64             // bytes waiting to be written, of all connections
	Accepted  uint64            // connections, the refused ones not included
	Refused   map[string]uint64 // connections by reason: "full", "address", "handler"
	Closed    map[string]uint64 // connections by reason, see Class
	FramesIn  uint64
	FramesOut uint64 // written to the operating system
	BytesIn   uint64
	BytesOut  uint64
	AcceptErr uint64 // failures of the listener that passed, such as having no file descriptors left
	Panics    uint64 // of Handlers and Receivers
}

// Snapshot returns the counters. The maps are the caller's.
func (s *Stats) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{
		Open: s.open.Load(), Queued: s.queued.Load(), Accepted: s.accepted.Load(),
		Refused: maps.Clone(s.refused), Closed: maps.Clone(s.closed),
		FramesIn: s.framesIn.Load(), FramesOut: s.framesOut.Load(), BytesIn: s.bytesIn.Load(), BytesOut: s.bytesOut.Load(),
		AcceptErr: s.acceptErr.Load(), Panics: s.panics.Load(),
	}
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

// Class names the kind of a reason in one word, for counters and log fields: "peer", "backlog", "frame", "handshake", "slow-frame", "idle",
// "panic", "shutdown", "read", "write", "closed"; "handler" for every reason that this package does not know.
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
		{ErrPanic, "panic"},
		{ErrShutdown, "shutdown"},
		{ErrRead, "read"},
		{ErrWrite, "write"},
		{ErrClosed, "closed"},
		{ErrTooManyConns, "full"},
		{ErrTooManyFromAddr, "address"},
	} {
		if errors.Is(reason, c.err) {
			return c.name
		}
	}
	return "handler"
}
