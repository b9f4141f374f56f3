// Package kcp yields listeners of KCP, a reliable byte stream over UDP that trades bandwidth for latency on links which lose packets
// (github.com/skywind3000/kcp has the protocol).
//
// Behind it is kcp-go without encryption and without forward error correction, so kcp-go clients and the reference C ikcp connect as they are. KCP has
// neither a handshake nor an end of stream: a connection begins with a peer's first datagram, and that it is over is known from its silence, or because
// the protocol above says so.
package kcp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/xtaci/kcp-go/v5"
)

// Config has KCP's knobs under their usual names. The zero value is the fast profile with a window of 128 packets and an MTU of 1200 bytes.
// Both ends choose for themselves what they send with.
type Config struct {
	// NoDelay, Interval, Resend and NC are the arguments of ikcp_nodelay: 1 retransmits sooner; milliseconds between flushes; resend after so many
	// acknowledgements skipped a packet (0: never); 1 ignores congestion. Interval 0 means all four of the fast profile: 1, 10, 2, 1.
	NoDelay, Interval, Resend, NC int
	// SndWnd and RcvWnd are the windows in packets. Default 128. Larger ones carry more on long links and hold more memory.
	SndWnd, RcvWnd int
	// MTU is the largest datagram in bytes, without the UDP header. Default 1200, which passes nearly everywhere.
	MTU int
	// AckNoDelay acknowledges each packet at once: a little less latency for twice the packets of a peer that mostly receives.
	AckNoDelay bool
}

const (
	minMTU = 50
	maxMTU = 1500 // of kcp-go, which cuts off the rest of a longer datagram
	maxWnd = 1 << 15
)

func (c Config) withDefaults() (Config, error) {
	if c.Interval == 0 {
		if c.NoDelay != 0 || c.Resend != 0 || c.NC != 0 {
			return c, fmt.Errorf("kcp: interval is 0 but nodelay %d, resend %d, nc %d are set, expected an interval of 10 to 5000 ms", c.NoDelay, c.Resend, c.NC)
		}
		c.NoDelay, c.Interval, c.Resend, c.NC = 1, 10, 2, 1
	}
	if c.SndWnd == 0 {
		c.SndWnd = 128
	}
	if c.RcvWnd == 0 {
		c.RcvWnd = 128
	}
	if c.MTU == 0 {
		c.MTU = 1200
	}
	for _, k := range []struct {
		name        string
		is, min, to int
	}{
		{"nodelay", c.NoDelay, 0, 2},
		{"interval", c.Interval, 10, 5000},
		{"resend", c.Resend, 0, 255},
		{"nc", c.NC, 0, 1},
		{"sndwnd", c.SndWnd, 1, maxWnd},
		{"rcvwnd", c.RcvWnd, 1, maxWnd},
		{"mtu", c.MTU, minMTU, maxMTU},
	} {
		if k.is < k.min || k.is > k.to {
			return c, fmt.Errorf("kcp: %s is %d, expected %d to %d", k.name, k.is, k.min, k.to)
		}
	}
	return c, nil
}

func (c Config) apply(s *kcp.UDPSession) {
	s.SetNoDelay(c.NoDelay, c.Interval, c.Resend, c.NC)
	s.SetWindowSize(c.SndWnd, c.RcvWnd)
	s.SetMtu(c.MTU)
	s.SetACKNoDelay(c.AckNoDelay)
	s.SetWriteDelay(false) // a delay would cost one interval for each message
}

// Dial connects to a server. Nothing is sent before the first Write, and that nobody answers shows in Reads that do not return: set deadlines.
func Dial(ctx context.Context, addr string, cfg Config) (net.Conn, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("kcp: dial %q: %w", addr, err)
	}
	s, err := kcp.DialWithOptions(addr, nil, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("kcp: dial %q: %w", addr, err)
	}
	cfg.apply(s)
	return &conn{UDPSession: s, release: func() {}}, nil
}

// socketBuffer is asked of the system for the one socket that all sessions share; it grants what net.core.rmem_max allows.
const socketBuffer = 4 << 20

// Listen listens on the UDP address addr ("127.0.0.1:7000"; port 0 picks a free one).
//
// Closing the listener ends Accept; the socket stays open until the accepted connections are closed too, since they share it.
func Listen(addr string, cfg Config) (net.Listener, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	ua, err := net.ResolveUDPAddr("udp", addr)
	if err != nil {
		return nil, fmt.Errorf("kcp: listen on %q: %w", addr, err)
	}
	socket, err := net.ListenUDP("udp", ua)
	if err != nil {
		return nil, fmt.Errorf("kcp: listen on %q: %w", addr, err)
	}
	inner, err := kcp.ServeConn(nil, 0, 0, socket)
	if err != nil {
		_ = socket.Close()
		return nil, fmt.Errorf("kcp: listen on %q: %w", addr, err)
	}
	_ = socket.SetReadBuffer(socketBuffer)  // smaller buffers lose
	_ = socket.SetWriteBuffer(socketBuffer) // packets, which KCP repeats
	l := &listener{cfg: cfg, socket: socket, inner: inner, sessions: make(chan *kcp.UDPSession), closed: make(chan struct{}), failed: make(chan struct{})}
	l.pumped.Go(l.pump)
	return l, nil
}

type listener struct {
	cfg      Config
	socket   *net.UDPConn
	inner    *kcp.Listener
	pumped   sync.WaitGroup
	sessions chan *kcp.UDPSession
	closed   chan struct{} // Close was called
	failed   chan struct{} // the socket failed, with err
	err      error

	mu   sync.Mutex
	done bool
	open int // accepted connections that are not closed
}

// pump takes kcp-go's sessions for as long as the socket is open: those that come after Close would otherwise be left running.
func (l *listener) pump() {
	// kcp-go picks at random between a waiting session and the end, so after the end it is asked until it is sure to have none left.
	const sure = 64
	for ends := 0; ends < sure; {
		s, err := l.inner.AcceptKCP()
		if err != nil {
			if ends == 0 {
				l.err = err
				close(l.failed)
			}
			ends++
			continue
		}
		l.cfg.apply(s)
		select {
		case l.sessions <- s:
		case <-l.closed:
			_ = s.Close()
		case <-l.failed:
			_ = s.Close()
		}
	}
}

// Accept returns the next connection.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case s := <-l.sessions:
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.done {
			_ = s.Close()
			return nil, net.ErrClosed
		}
		l.open++
		return &conn{UDPSession: s, release: l.release}, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-l.failed:
		return nil, fmt.Errorf("kcp: %w", l.err)
	}
}

// Close ends Accept, and the socket once no connection needs it.
func (l *listener) Close() error {
	l.mu.Lock()
	if l.done {
		l.mu.Unlock()
		return net.ErrClosed
	}
	l.done = true
	close(l.closed)
	last := l.open == 0
	l.mu.Unlock()
	if last {
		return l.shut()
	}
	return nil
}

func (l *listener) release() {
	l.mu.Lock()
	l.open--
	last := l.done && l.open == 0
	l.mu.Unlock()
	if last {
		_ = l.shut()
	}
}

func (l *listener) shut() error {
	err := l.socket.Close()
	l.pumped.Wait() // kcp-go reports the socket's end after the last session it makes; its own Close would end the pump before that
	_ = l.inner.Close()
	return err
}

// Addr is the UDP address that is listened on.
func (l *listener) Addr() net.Addr { return l.socket.LocalAddr() }

// conn is a session with an end.
type conn struct {
	*kcp.UDPSession
	release func()
	once    sync.Once

	mu    sync.Mutex
	until time.Time // set by CloseWrite: when reading ends
}

// drain is how long a session stays after CloseWrite: enough for a few retransmissions of what was written last, as nothing tells us that it arrived.
const drain = 300 * time.Millisecond

// CloseWrite says that nothing more will be written. KCP can't tell the peer; it keeps repeating what is not acknowledged, and Read ends with io.EOF when
// the time for that is over.
func (c *conn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.until = time.Now().Add(drain)
	return c.UDPSession.SetReadDeadline(c.until)
}

// SetReadDeadline sets the deadline of Reads, which may be in one.
func (c *conn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() && (t.IsZero() || t.After(c.until)) {
		t = c.until
	}
	return c.UDPSession.SetReadDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// Read reads from the stream.
func (c *conn) Read(p []byte) (int, error) {
	n, err := c.UDPSession.Read(p)
	if err == nil || !isTimeout(err) {
		return n, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.until.IsZero() && !time.Now().Before(c.until) {
		return n, io.EOF
	}
	return n, err
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// Close ends the session; a second call does nothing.
func (c *conn) Close() error {
	err := net.ErrClosed
	c.once.Do(func() {
		err = c.UDPSession.Close()
		c.release()
	})
	return err
}
