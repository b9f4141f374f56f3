package transport

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is one connection. All its methods may be called from any goroutine, and none of them blocks.
type Conn struct {
	nc     net.Conn
	srv    *server
	prefix netip.Prefix
	opened time.Time

	ready                                  atomic.Bool
	framesIn, framesOut, bytesIn, bytesOut atomic.Uint64

	mu       sync.Mutex
	idle     time.Duration // <= 0: for ever
	armed    time.Time     // the read deadline that is set; zero: none
	out      outbox
	reason   error     // why the connection ends; nil while it does not
	graceful bool      // it ends by CloseWith, so what is queued still goes out
	until    time.Time // when a graceful end gives up
}

func newConn(s *server, nc net.Conn, prefix netip.Prefix) *Conn {
	return &Conn{nc: nc, srv: s, prefix: prefix, opened: time.Now(), idle: s.cfg.Idle}
}

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr is the server's address.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Transport is Config.Name.
func (c *Conn) Transport() string { return c.srv.cfg.Name }

// Opened is when the connection was accepted.
func (c *Conn) Opened() time.Time { return c.opened }

// Counters is what went over one connection.
type Counters struct {
	FramesIn, FramesOut uint64
	BytesIn, BytesOut   uint64
	Queued              int // bytes waiting to be written
}

// Counters returns what went over the connection so far. Out is what the operating system has accepted.
func (c *Conn) Counters() Counters {
	c.mu.Lock()
	queued := c.out.size()
	c.mu.Unlock()
	return Counters{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), Queued: queued,
	}
}

// Ready says that the handshake is over: from here on Idle and FrameTimeout hold instead of HandshakeTimeout.
func (c *Conn) Ready() {
	c.ready.Store(true) // the reader learns of it at the latest when the handshake's deadline strikes
}

// SetIdle changes how long the connection may go without a whole frame, from now on; d <= 0: for ever. It does not lengthen the handshake.
func (c *Conn) SetIdle(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = d
	if c.reason != nil || d <= 0 {
		return
	}
	if due := time.Now().Add(d); c.armed.IsZero() || due.Before(c.armed) {
		c.arm(due) // the reader may be waiting for a deadline that is now too late
	}
}

// arm sets the read deadline; c.mu is held.
func (c *Conn) arm(t time.Time) {
	c.armed = t
	_ = c.nc.SetReadDeadline(t) // fails only on a closed connection, which the reader finds out anyway
}

// Close ends the connection with ErrClosed; what is queued is dropped. It returns before the reading goroutine has noticed.
func (c *Conn) Close() { c.abort(ErrClosed) }

// CloseWith ends the connection with that reason (nil: ErrClosed) after everything that is queued, and then last (may be nil; it is copied), have been
// delivered, as far as that is possible within Config.Linger. The Receiver gets no more frames, and its Closed is called without waiting for
// the delivery. The first reason counts; a second call does nothing.
func (c *Conn) CloseWith(reason error, last []byte) {
	if reason == nil {
		reason = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return
	}
	c.reason, c.graceful = reason, true
	c.until = time.Now().Add(c.srv.cfg.Linger)
	_ = c.nc.SetWriteDeadline(c.until)
	if len(last) > 0 {
		c.enqueue(last)
	}
	c.arm(time.Unix(1, 0)) // wakes the reader, which does the rest
}

// abort ends the connection without delivering what is queued. The first reason counts, but an abort also cuts short a graceful end.
// It only wakes the goroutines: closing a TLS or WebSocket connection can block, so linger does it.
func (c *Conn) abort(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.reason = reason
	}
	c.graceful = false
	past := time.Unix(1, 0)
	c.arm(past)
	_ = c.nc.SetWriteDeadline(past)
}

// end returns why the connection ends, nil while it does not.
func (c *Conn) end() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// run is the reading goroutine.
func (c *Conn) run() {
	defer func() {
		c.srv.leave(c)
		c.srv.cfg.Stats.open.Add(-1)
	}()
	r, err := c.open()
	if err != nil {
		c.refused(err)
		return
	}
	c.srv.cfg.Stats.accepted.Add(1)
	if err := c.read(r); c.end() == nil {
		c.finish(err)
	}
	c.done(r)
	c.linger()
}

// finish ends a connection for a reason that the reading goroutine found.
func (c *Conn) finish(reason error) {
	switch {
	case errors.Is(reason, ErrRead):
		c.abort(reason) // nobody is there any more
	case errors.Is(reason, ErrPeerClosed):
		c.CloseWith(reason, nil) // it may have ended only its own half, and still wait for its answers
	default:
		c.CloseWith(reason, c.srv.farewell(reason))
	}
}

func (c *Conn) open() (r Receiver, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.srv.caught(c, "Open", p)
		}
	}()
	r, err = c.srv.handler.Open(c)
	if err == nil && r == nil {
		err = fmt.Errorf("%w: Open returned neither a Receiver nor an error", ErrClosed)
	}
	return r, err
}

func (c *Conn) refused(err error) {
	c.srv.cfg.Stats.refuse("handler")
	c.srv.cfg.Log.Debug("connection refused", "transport", c.Transport(), "remote", c.RemoteAddr(), "reason", err)
	c.CloseWith(err, c.srv.farewell(err))
	c.linger()
}

// done tells the Receiver and the counters.
func (c *Conn) done(r Receiver) {
	reason := c.end()
	class := ""
	if f := c.srv.cfg.Classify; f != nil {
		class = f(reason)
	}
	if class == "" {
		class = Class(reason)
	}
	c.srv.cfg.Stats.close(class)
	c.srv.cfg.Log.Debug("connection closed", "transport", c.Transport(), "remote", c.RemoteAddr(), "class", class, "reason", reason)
	defer func() {
		if p := recover(); p != nil {
			_ = c.srv.caught(c, "Closed", p)
		}
	}()
	r.Closed(reason)
}

// linger waits, if the end is a graceful one, until what is queued is written and the client has seen it; then it closes the connection and returns
// when the writing goroutine is gone.
func (c *Conn) linger() {
	c.mu.Lock()
	graceful, until := c.graceful, c.until
	written := c.out.idle()
	c.mu.Unlock()
	if graceful {
		timer := time.NewTimer(time.Until(until))
		select {
		case <-written:
			c.hangUp(until)
		case <-timer.C:
		}
		timer.Stop()
	}
	_ = c.nc.Close()
	<-written
	c.mu.Lock()
	c.drop()
	c.mu.Unlock()
}

// hangUp ends our half of the connection and reads until the client has ended its own. Closing a socket with unread bytes in it would send a
// reset, which overtakes the last frame and destroys it.
func (c *Conn) hangUp(until time.Time) {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.mu.Lock()
	if c.graceful { // else an abort has set a deadline that must stay
		c.arm(until)
	}
	c.mu.Unlock()
	buf := c.srv.buffers.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	defer c.srv.buffers.Put(buf)
	for {
		if _, err := c.nc.Read(*buf); err != nil {
			return
		}
	}
}

// readError sorts what ended a Read.
func readError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe),
		errors.Is(err, syscall.ECONNRESET): // how a client closes that has not read everything
		return fmt.Errorf("%w: %w", ErrPeerClosed, err)
	default:
		return fmt.Errorf("%w: %w", ErrRead, err)
	}
}

func isTimeout(err error) bool {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}
