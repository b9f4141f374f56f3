package secure

import (
	"errors"
	"log/slog"
	"maps"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// Stats counts what becomes of connections before they are accepted. The zero value is ready. Its methods may be called from any goroutine.
type Stats struct {
	pending    atomic.Int64
	passed     atomic.Uint64
	headers    atomic.Uint64
	handshakes atomic.Uint64

	mu      sync.Mutex
	refused map[string]uint64
}

// Snapshot is what Stats held at one moment. Totals count from the start and never fall; Pending is of now.
type Snapshot struct {
	Pending    int64             // connections that are not finished, or not accepted
	Passed     uint64            // connections that were passed on
	Headers    uint64            // PROXY headers that were read
	Handshakes uint64            // TLS handshakes that succeeded
	Refused    map[string]uint64 // connections that were closed, by reason, see Reason
}

// Snapshot returns the counters. The map is the caller's.
func (s *Stats) Snapshot() Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Snapshot{
		Pending: s.pending.Load(), Passed: s.passed.Load(), Headers: s.headers.Load(), Handshakes: s.handshakes.Load(), Refused: maps.Clone(s.refused),
	}
}

func (s *Stats) refuse(reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refused == nil {
		s.refused = make(map[string]uint64)
	}
	s.refused[reason]++
}

// Reason names in one word why a connection was not passed on: "untrusted" (it came past the balancers), "header" (none, or a bad one), "timeout", "plain" (no TLS), "tls" (a
// handshake that failed), "crowded" (it gave way), "address" (too many of its network), "gone" (the client ended it), "closed" (the listener was), "other".
func Reason(err error) string {
	for _, c := range []struct {
		err  error
		name string
	}{
		{ErrUntrusted, "untrusted"},
		{ErrTimeout, "timeout"},
		{ErrGone, "gone"},
		{ErrHeader, "header"},
		{ErrPlain, "plain"},
		{ErrTLS, "tls"},
		{ErrCrowded, "crowded"},
		{ErrAddress, "address"},
		{net.ErrClosed, "closed"},
	} {
		if errors.Is(err, c.err) {
			return c.name
		}
	}
	return "other"
}

// warner tells the operator of each kind of thing at most once an interval, as strangers can make it happen.
type warner struct {
	log *slog.Logger

	mu   sync.Mutex
	last map[string]time.Time
}

const warnInterval = time.Minute

func (w *warner) warn(kind, msg string, args ...any) {
	w.mu.Lock()
	now := time.Now()
	last, told := w.last[kind]
	due := !told || now.Sub(last) >= warnInterval
	if due {
		if w.last == nil {
			w.last = map[string]time.Time{}
		}
		w.last[kind] = now
	}
	w.mu.Unlock()
	if due {
		w.log.Warn(msg, args...)
	}
}
