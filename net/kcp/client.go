package kcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	kcpgo "github.com/xtaci/kcp-go/v5"
)

// client is a kcp-go session with ends.
type client struct {
	s     *kcpgo.UDPSession
	link  *link
	pulse *pulse
	mss   int

	mu     sync.Mutex
	over   bool // the server's stream has ended, with err
	gone   bool // and the server reads no more
	err    error
	closed bool
}

// never is a deadline: kcp-go does not notice one that is set while a Read is waiting without.
const never = 10 * 365 * 24 * time.Hour

func newClient(l *link) (*client, error) {
	cfg := l.cfg
	mtu := cfg.MTU - l.crypt.head() - l.crypt.tail()
	c := &client{link: l, mss: mtu - overhead}
	if cfg.DataShards > 0 {
		c.mss -= fecHeader
	}
	if cfg.DataShards == 0 { // else parity is made of the datagrams before they come here
		if cfg.Repeat {
			l.repeater = &repeater{mtu: mtu}
		}
		if !cfg.AckNoDelay {
			l.company = &company{mtu: mtu, alone: l.sendAlone}
		}
	}
	l.peer, l.busy = c.peer, func(now time.Time) { c.pulse.wake(now) }
	s, err := kcpgo.NewConn4(l.conv, l.remote, nil, cfg.DataShards, cfg.ParityShards, true, l)
	if err != nil {
		_ = l.Close()
		return nil, err
	}
	c.s, c.pulse = s, newPulse(s, l)
	close(l.ready)
	s.SetWindowSize(cfg.SndWnd, cfg.RcvWnd)
	s.SetMtu(mtu)
	s.SetACKNoDelay(cfg.AckNoDelay)
	s.SetWriteDelay(false) // a delay would cost one interval for each message
	_ = s.SetReadDeadline(time.Now().Add(never))
	if !cfg.Raw {
		l.mu.Lock()
		l.timer, l.tickAt = time.AfterFunc(cfg.Ping, l.tick), time.Now().Add(cfg.Ping)
		l.mu.Unlock()
	}
	return c, nil
}

// peer is called when the server's stream has ended; gone says that the server is, too.
func (c *client) peer(gone bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone = c.gone || gone
	if c.over {
		return
	}
	c.over, c.err = true, err
	_ = c.s.SetReadDeadline(time.Unix(1, 0)) // a Read that waits returns what is there, and then this
}

// Read reads from the stream.
func (c *client) Read(p []byte) (int, error) {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	if closed {
		return 0, c.wrap("read", net.ErrClosed)
	}
	n, err := c.s.Read(p)
	if err == nil || n > 0 {
		return n, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var ne net.Error
	switch {
	case c.closed:
		err = net.ErrClosed
	case c.over && c.err == nil:
		return 0, io.EOF
	case c.over:
		err = c.err
	case errors.As(err, &ne) && ne.Timeout():
		err = os.ErrDeadlineExceeded
	}
	return 0, c.wrap("read", err)
}

// Write queues p to be sent. It blocks while SndWnd packets wait to be acknowledged.
func (c *client) Write(p []byte) (int, error) {
	c.mu.Lock()
	gone, failed, closed := c.gone, c.err, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return 0, c.wrap("write", net.ErrClosed)
	case gone && failed != nil:
		return 0, c.wrap("write", failed)
	case gone, c.link.hasEnded():
		return 0, c.wrap("write", syscall.EPIPE)
	case len(p) == 0:
		return 0, nil
	}
	c.pulse.wake(time.Now())
	n, err := c.s.Write(p)
	if n > 0 {
		c.link.wrote((n + c.mss - 1) / c.mss)
	}
	if err != nil {
		var ne net.Error
		switch {
		case errors.As(err, &ne) && ne.Timeout():
			err = os.ErrDeadlineExceeded
		case errors.Is(err, io.ErrClosedPipe):
			err = net.ErrClosed
		}
		return n, c.wrap("write", err)
	}
	return n, nil
}

// CloseWrite ends our half of the stream. A server without handshake can't be told.
func (c *client) CloseWrite() error {
	c.mu.Lock()
	closed := c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return c.wrap("close", net.ErrClosed)
	case c.link.cfg.Raw:
		return c.wrap("close", errors.ErrUnsupported)
	}
	c.link.end()
	return nil
}

// Close ends the session. What was written is still delivered, as far as that is possible within 0.3 s; then the server is told.
func (c *client) Close() error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return c.wrap("close", net.ErrClosed)
	}
	c.closed = true
	gone := c.gone
	_ = c.s.SetReadDeadline(time.Unix(1, 0)) // a Read that waits ends
	c.mu.Unlock()
	if gone {
		c.pulse.stop()
		return c.s.Close()
	}
	c.link.whenDelivered(lingerLast*time.Millisecond, func() {
		if !c.link.cfg.Raw {
			c.link.farewell()
		}
		c.pulse.stop()
		_ = c.s.Close()
	})
	return nil
}

// Rebind goes on from a new local socket, and so from the address that the system has by now. The server goes along when we have proven that we are
// who we were.
func (c *client) Rebind() error {
	if c.link.cfg.Raw {
		return c.wrap("rebind", errors.ErrUnsupported) // to the server it would be somebody else
	}
	if err := c.link.rebind(); err != nil {
		return c.wrap("rebind", err)
	}
	c.link.sendPing()
	return nil
}

// LocalAddr is the address of the local socket in use.
func (c *client) LocalAddr() net.Addr { return c.link.LocalAddr() }

// RemoteAddr is the server's address.
func (c *client) RemoteAddr() net.Addr { return c.link.remote }

// SetDeadline sets both deadlines.
func (c *client) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline sets the deadline of Reads, which may be in one.
func (c *client) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	if c.over {
		return nil
	}
	if t.IsZero() {
		t = time.Now().Add(never)
	}
	return c.s.SetReadDeadline(t)
}

// SetWriteDeadline sets the deadline of Writes.
func (c *client) SetWriteDeadline(t time.Time) error { return c.s.SetWriteDeadline(t) }

func (c *client) wrap(op string, err error) error {
	return &net.OpError{Op: op, Net: "kcp", Source: c.link.LocalAddr(), Addr: c.link.remote, Err: err}
}

func (l *link) hasEnded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ended
}
