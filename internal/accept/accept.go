// Package accept runs the loop of servers that take connections.
package accept

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"syscall"
	"time"
)

const (
	minBackoff  = 5 * time.Millisecond
	maxBackoff  = time.Second
	logInterval = 10 * time.Second
)

// Loop takes the connections of a listener.
type Loop struct {
	Name   string // in the log
	Log    *slog.Logger
	Failed func() // a failure to wait out; nil: nobody counts
}

// Run hands connections to take until the listener fails for good; nil once ctx has ended, with which whoever calls it closes the listener. When the process or
// the system is out of something it waits, longer each time up to a second: whoever makes a server run out of files must not end it.
func (l Loop) Run(ctx context.Context, ln net.Listener, take func(net.Conn)) error {
	var backoff time.Duration
	var logged time.Time
	for failures := 0; ; {
		conn, err := ln.Accept()
		if err == nil {
			backoff = 0
			take(conn)
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // closed by who ended ctx
		}
		if !passes(err) {
			return err
		}
		failures++
		if l.Failed != nil {
			l.Failed()
		}
		backoff = min(max(2*backoff, minBackoff), maxBackoff)
		if now := time.Now(); now.Sub(logged) >= logInterval {
			logged = now
			l.Log.Warn("accept fails, new connections wait", "listener", l.Name, "err", err, "failures", failures, "retry_in", backoff)
		}
		again := time.NewTimer(backoff)
		select {
		case <-ctx.Done():
			again.Stop()
		case <-again.C:
		}
	}
}

// passes says whether a failed Accept is worth another try: the process or the system is out of something, or the client has gone already.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ENOSPC, syscall.ECONNABORTED, syscall.EPROTO, syscall.ECONNRESET, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
