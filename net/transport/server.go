package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"syscall"
	"time"
)

// Serve accepts connections from ln and hands their frames to h until ctx is done or ln fails for good. Then it closes ln, closes the connections
// that are left with ErrShutdown (what is queued to them is still delivered within Config.Linger), and returns when all its goroutines are gone, so
// not before every Receiver has returned: nil after ctx, the listener's error otherwise.
func Serve(ctx context.Context, ln net.Listener, h Handler, cfg Config) error {
	cfg, err := cfg.withDefaults()
	if err != nil {
		_ = ln.Close()
		return err
	}
	s := &server{cfg: cfg, handler: h, conns: make(map[*Conn]struct{}), addrs: make(map[netip.Prefix]int), refusals: make(chan struct{}, maxRefusals)}
	s.buffers.New = func() any { b := make([]byte, readBuffer); return &b }
	s.batches.New = func() any { return new(batch) }
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	err = s.accept(ctx, ln)
	stop()
	_ = ln.Close()
	s.shutdown()
	s.wg.Wait()
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the listener failed because it was closed, as asked
	}
	return err
}

type server struct {
	cfg      Config
	handler  Handler
	wg       sync.WaitGroup // reading goroutines and refusals
	buffers  sync.Pool      // *[]byte of readBuffer bytes
	batches  sync.Pool      // *batch, empty
	refusals chan struct{}  // a slot for each refusal under way

	mu     sync.Mutex
	closed bool
	conns  map[*Conn]struct{}
	addrs  map[netip.Prefix]int
}

const (
	maxBackoff  = time.Second
	logInterval = 10 * time.Second
	maxRefusals = 64
)

func (s *server) accept(ctx context.Context, ln net.Listener) error {
	var backoff time.Duration
	var logged time.Time
	for {
		nc, err := ln.Accept()
		if err == nil {
			backoff = 0
			s.admit(nc)
			continue
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // as above
		}
		if !passes(err) {
			return fmt.Errorf("transport: %s listener %s: %w", s.cfg.Name, ln.Addr(), err)
		}
		s.cfg.Stats.acceptErr.Add(1)
		backoff = min(max(2*backoff, 5*time.Millisecond), maxBackoff)
		if now := time.Now(); now.Sub(logged) >= logInterval {
			logged = now
			s.cfg.Log.Warn("accept fails, new connections wait", "transport", s.cfg.Name, "err", err,
				"failures", s.cfg.Stats.acceptErr.Load(), "retry_in", backoff)
		}
		select {
		case <-ctx.Done():
		case <-time.After(backoff):
		}
	}
}

// passes says whether a failed Accept is worth another try: the process or the system is out of something, or the client has gone already.
func passes(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

func (s *server) admit(nc net.Conn) {
	prefix := prefixOf(nc.RemoteAddr())
	c := newConn(s, nc, prefix)
	if err := s.enter(c); err != nil {
		s.cfg.Stats.refuse(Class(err))
		s.cfg.Log.Debug("connection refused", "transport", s.cfg.Name, "remote", nc.RemoteAddr(), "reason", err)
		s.refuse(c, err)
		return
	}
	s.cfg.Stats.open.Add(1)
	s.wg.Go(c.run)
}

// enter counts a connection against the limits.
func (s *server) enter(c *Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit := s.cfg.MaxConns; limit > 0 && len(s.conns) >= limit {
		return fmt.Errorf("%w: %d are open", ErrTooManyConns, limit)
	}
	if limit := s.cfg.MaxConnsPerAddr; limit > 0 && s.addrs[c.prefix] >= limit {
		return fmt.Errorf("%w: %d are open from %s", ErrTooManyFromAddr, limit, c.prefix)
	}
	if s.closed {
		return ErrShutdown
	}
	s.conns[c] = struct{}{}
	s.addrs[c.prefix]++
	return nil
}

func (s *server) leave(c *Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if s.addrs[c.prefix]--; s.addrs[c.prefix] <= 0 {
		delete(s.addrs, c.prefix)
	}
}

// refuse tells a client why it may not come in, without holding up the next one. Beyond maxRefusals at once clients are just closed, so that
// a flood of them costs nothing.
func (s *server) refuse(c *Conn, reason error) {
	last := s.farewell(reason)
	select {
	case s.refusals <- struct{}{}:
	default:
		last = nil
	}
	if last == nil {
		_ = c.nc.Close()
		return
	}
	s.wg.Go(func() {
		defer func() { <-s.refusals }()
		c.CloseWith(reason, last)
		c.linger()
	})
}

func (s *server) farewell(reason error) []byte {
	if s.cfg.Farewell == nil {
		return nil
	}
	return s.cfg.Farewell(reason)
}

func (s *server) shutdown() {
	s.mu.Lock()
	s.closed = true
	conns := make([]*Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	s.mu.Unlock()
	for _, c := range conns {
		c.CloseWith(ErrShutdown, s.farewell(ErrShutdown))
	}
}

// caught turns a recovered panic into a reason and tells the operator.
func (s *server) caught(c *Conn, where string, value any) error {
	s.cfg.Stats.panics.Add(1)
	s.cfg.Log.Error("handler panicked, its connection is closed", "transport", s.cfg.Name, "remote", c.RemoteAddr(), "in", where,
		"panic", value, "stack", string(debug.Stack()))
	return fmt.Errorf("%w in %s: %v", ErrPanic, where, value)
}

// prefixOf is what MaxConnsPerAddr counts by: hosts get whole /64s in IPv6 (RFC 6177), so a single address there limits nobody.
func prefixOf(addr net.Addr) netip.Prefix {
	var ip netip.Addr
	switch a := addr.(type) {
	case *net.TCPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	case *net.UDPAddr:
		ip, _ = netip.AddrFromSlice(a.IP)
	default:
		if addr != nil {
			if ap, err := netip.ParseAddrPort(addr.String()); err == nil {
				ip = ap.Addr()
			}
		}
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	p, err := ip.Prefix(bits)
	if err != nil { // not an IP address, such as a pipe's: all of them count as one
		return netip.Prefix{}
	}
	return p
}
