package transport

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/internal/accept"
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
	s := newServer(h, cfg)
	if p, ok := ln.(interface{ Poll() }); ok {
		s.poll = p.Poll
	}
	if l, ok := ln.(interface{ SendLate() }); ok {
		s.sendLate, s.gathers = l.SendLate, true
	}
	if l, ok := ln.(lender); ok {
		l.Lend(s.crew.lend)
	}
	s.cfg.Stats.register(s)
	stop := context.AfterFunc(ctx, func() { _ = ln.Close() })
	err = s.accept(ctx, ln)
	stop()
	_ = ln.Close()
	s.shutdown()
	s.wg.Wait()
	s.crew.close()
	s.cfg.Stats.unregister(s)
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the listener failed because it was closed, as asked
	}
	return err
}

type server struct {
	cfg            Config
	handler        Handler
	start          time.Time      // times are in ns since it; it was before any of them, so that 0 is none
	packets, bytes rate           // of each connection
	limited        bool           // by them
	wg             sync.WaitGroup // connections and refusals
	buffers        sync.Pool      // *[]byte of readBuffer bytes
	batches        sync.Pool      // *batch, empty
	refusals       chan struct{}  // a slot for each refusal under way
	crew           crew
	poll           func() // looks whether connections have something to read, as the runtime does too seldom while handlers compute
	sendLate       func() // has leave what connections have written by WriteLate
	gathers        bool   // they may
	corks          [corkSlots]corkSlot
	nextSlot       atomic.Uint32

	mu       sync.Mutex
	closed   bool
	conns    map[*Conn]struct{}
	hosts    map[netip.Prefix]int
	networks map[netip.Prefix]int // of those that are half open
	halfOpen int
	ended    totals // of connections that are no more
}

func newServer(h Handler, cfg Config) *server {
	s := &server{
		cfg: cfg, handler: h, start: time.Now().Add(-time.Second), conns: map[*Conn]struct{}{}, hosts: map[netip.Prefix]int{}, networks: map[netip.Prefix]int{},
		refusals: make(chan struct{}, maxRefusals),
	}
	s.packets, s.bytes = cfg.rates()
	s.limited = cfg.PacketRate > 0 || cfg.ByteRate > 0
	s.crew.init(s)
	s.poll, s.sendLate = func() {}, func() {}
	s.buffers.New = func() any { b := make([]byte, readBuffer); return &b }
	s.batches.New = func() any { return new(batch) }
	return s
}

// now is the time in ns since start.
func (s *server) now() int64 { return int64(time.Since(s.start)) }

// at is a moment in the machine's time.
func (s *server) at(ns int64) time.Time { return s.start.Add(time.Duration(ns)) }

const maxRefusals = 64

func (s *server) accept(ctx context.Context, ln net.Listener) error {
	loop := accept.Loop{Name: s.cfg.Name, Log: s.cfg.Log, Failed: func() { s.cfg.Stats.acceptErr.Add(1) }}
	if err := loop.Run(ctx, ln, s.admit); err != nil {
		return fmt.Errorf("transport: %s listener %s: %w", s.cfg.Name, ln.Addr(), err)
	}
	return nil
}

func (s *server) admit(nc net.Conn) {
	c := newConn(s, nc)
	if err := s.enter(c); err != nil {
		s.cfg.Stats.refuse(Class(err))
		s.cfg.Log.Debug("connection refused", "transport", s.cfg.Name, "remote", nc.RemoteAddr(), "reason", err)
		s.refuse(c, err)
		return
	}
	s.cfg.Stats.open.Add(1)
	s.wg.Add(1) // Conn.over
	if c.steps != nil {
		s.crew.submit(c, (*Conn).beginSteps)
		return
	}
	go c.run()
}

// refuse tells a client why it may not come in, without holding up the next one. Beyond maxRefusals at once nobody waits until the client has read it, and
// clients of connections on which a first write may have to wait, such as TLS, are just closed, so that a flood of them costs nothing.
func (s *server) refuse(c *Conn, reason error) {
	last := s.farewell(reason)
	select {
	case s.refusals <- struct{}{}:
	default:
		if _, ok := c.nc.(stepConn); ok && last != nil {
			_, _ = c.nc.Write(last) // nothing is before it, so there is room
		}
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
