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
	frames frameWriter // nc, if it must know where frames end
	later  lateWriter  // nc, if it and its listener can
	steps  *steps      // of a connection that is read without a goroutine of its own
	room   streamer    // set by Stream
	srv    *server
	recv   Receiver
	near   foresight
	addr   netip.Addr
	opened int64 // ns since server.start, as all times here
	in     reader
	traffic

	ready   atomic.Bool
	counted atomic.Bool // it is not half open any more
	closing atomic.Bool // reason is set
	slot    uint32      // where its cork was last, for the goroutine that reads

	mu       sync.Mutex
	idle     time.Duration // <= 0: for ever
	readBy   int64         // the read deadline that is set; 0: none
	writeBy  int64         // the write deadline that was set last
	out      outbox
	reason   error // why the connection ends; nil while it does not
	graceful bool  // it ends by CloseWith, so what is queued still goes out
	until    int64 // when a graceful end gives up
}

func newConn(s *server, nc net.Conn) *Conn {
	c := &Conn{nc: nc, srv: s, addr: addrOf(nc.RemoteAddr()), opened: s.now(), idle: s.cfg.Idle, slot: s.nextSlot.Add(1)}
	c.frames, _ = nc.(frameWriter)
	if s.gathers {
		c.later, _ = nc.(lateWriter)
	}
	c.steps = stepsOf(nc)
	c.in.lastFrame = c.opened
	return c
}

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// LocalAddr is the server's address.
func (c *Conn) LocalAddr() net.Addr { return c.nc.LocalAddr() }

// Transport is Config.Name.
func (c *Conn) Transport() string { return c.srv.cfg.Name }

// Opened is when the connection was accepted.
func (c *Conn) Opened() time.Time { return c.srv.at(c.opened) }

// Counters is what went over one connection.
type Counters struct {
	FramesIn, FramesOut uint64
	BytesIn, BytesOut   uint64
	Queued              int // bytes waiting to be written
}

// Counters returns what went over the connection so far. Out is what the operating system has accepted.
func (c *Conn) Counters() Counters {
	return Counters{
		FramesIn: c.framesIn.Load(), FramesOut: c.framesOut.Load(), BytesIn: c.bytesIn.Load(), BytesOut: c.bytesOut.Load(), Queued: c.Queued(),
	}
}

// Way is what a transport knows of the way to the peer.
type Way struct {
	RTT time.Duration // the round trip, smoothed
	// Sent is how many segments went out, those that were sent again included, and Resent how many those are: more than were lost, as some only came late.
	Sent, Resent uint64
}

// Way tells what the transport knows of the way to the peer; false if it knows nothing.
func (c *Conn) Way() (Way, bool) {
	nc := c.nc
	for {
		if known, can := nc.(interface {
			Way() (rtt time.Duration, sent, resent uint64, ok bool)
		}); can {
			var w Way
			var ok bool
			w.RTT, w.Sent, w.Resent, ok = known.Way()
			return w, ok
		}
		around, can := nc.(interface{ NetConn() net.Conn })
		if !can {
			return Way{}, false
		}
		nc = around.NetConn()
	}
}

// Queued is how many bytes wait to be written, those that are being written included.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.out.size()
}

// Ready says that the handshake is over: from here on Idle and FrameTimeout hold instead of HandshakeTimeout, and the connection is not half open any more.
func (c *Conn) Ready() {
	c.ready.Store(true) // the reader learns of it at the latest when the handshake's deadline strikes
	c.srv.shaken(c)
}

// SetIdle changes how long the connection may go without a whole frame, from now on; d <= 0: for ever. It does not lengthen the handshake.
func (c *Conn) SetIdle(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = d
	if c.reason != nil || d <= 0 {
		return
	}
	if due := c.srv.now() + int64(d); c.readBy == 0 || due < c.readBy {
		c.arm(due) // the reader may be waiting for a deadline that is now too late
	}
}

// past is a time for deadlines that strike at once.
const past = 1

// arm sets the read deadline, 0 for none; c.mu is held.
func (c *Conn) arm(at int64) {
	c.readBy = at
	_ = c.nc.SetReadDeadline(c.deadline(at)) // fails only on a closed connection, which the reader finds out anyway
}

func (c *Conn) deadline(at int64) time.Time {
	switch at {
	case 0:
		return time.Time{}
	case past:
		return time.Unix(1, 0)
	}
	return c.srv.at(at)
}

// setWriteDeadline is arm for writes; c.mu is held.
func (c *Conn) setWriteDeadline(at int64) error {
	c.writeBy = at
	return c.nc.SetWriteDeadline(c.deadline(at))
}

// Close ends the connection with ErrClosed; what is queued is dropped. It returns before the reading goroutine has noticed.
func (c *Conn) Close() { c.abort(ErrClosed) }

// CloseWith ends the connection with that reason (nil: ErrClosed) after everything that is queued, and then last (may be nil; it is copied), have been
// delivered, as far as that is possible within Config.Linger. The Receiver gets no more frames, and its Closed is called without waiting for the delivery,
// unless the goroutine that would call it is just writing. The first reason counts; a second call does nothing.
func (c *Conn) CloseWith(reason error, last []byte) {
	if reason == nil {
		reason = ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason != nil {
		return
	}
	c.ends(reason)
	c.graceful = true
	c.until = c.srv.now() + int64(c.srv.cfg.Linger)
	_ = c.setWriteDeadline(c.until) // as with arm
	if len(last) > 0 {
		c.enqueue(last, nil)
	}
	c.wakeReader()
}

// abort ends the connection without delivering what is queued. The first reason counts, but an abort also cuts short a graceful end.
// It only wakes the goroutines: closing a TLS or WebSocket connection can block, so linger does it.
func (c *Conn) abort(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.reason == nil {
		c.ends(reason)
	}
	c.graceful = false
	_ = c.setWriteDeadline(past) // as with arm
	c.wakeReader()
}

// ends notes why the connection ends; c.mu is held.
func (c *Conn) ends(reason error) {
	c.reason = reason
	c.closing.Store(true)
}

// wakeReader makes whoever reads see that the connection ends, and do the rest; c.mu is held.
func (c *Conn) wakeReader() {
	c.arm(past)
	if c.steps != nil {
		c.notified()
	}
}

// end returns why the connection ends, nil while it does not.
func (c *Conn) end() error {
	if !c.closing.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reason
}

// run is the reading goroutine.
func (c *Conn) run() {
	err, returned := errGoexit, false
	defer func() {
		if !returned { // a handler called runtime.Goexit, which only the end of this goroutine is
			go c.conclude(err)
		}
	}()
	if c.recv == nil {
		if refusal := c.open(); refusal != nil {
			returned = true
			c.refused(refusal)
			return
		}
	}
	err = c.read()
	returned = true
	if err == errRested { //nolint:errorlint // a mark, never wrapped
		go c.run() // on a small stack
		return
	}
	c.conclude(err)
}

// errGoexit is a handler that has ended the goroutine that it was called on.
var errGoexit = fmt.Errorf("%w: it called runtime.Goexit", ErrPanic)

// conclude ends a connection of which nothing more is read.
func (c *Conn) conclude(err error) {
	c.in.release(c)
	if c.end() == nil {
		c.finish(err)
	}
	c.done()
	c.linger()
	c.over()
}

// over is the last that a connection does.
func (c *Conn) over() {
	c.srv.leave(c)
	c.srv.cfg.Stats.open.Add(-1)
	c.srv.wg.Done()
}

// finish ends a connection for a reason that was found while reading.
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

func (c *Conn) open() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = c.srv.caught(c, "Open", p)
		}
	}()
	r, err := c.srv.handler.Open(c)
	switch {
	case err != nil:
		return err
	case r == nil:
		return fmt.Errorf("%w: Open returned neither a Receiver nor an error", ErrClosed)
	}
	c.mu.Lock()
	c.recv = r
	c.foresee()
	if c.out.wanted > 0 && !c.out.corked {
		c.startWriting(nil)
	}
	c.mu.Unlock()
	c.srv.cfg.Stats.accepted.Add(1)
	return nil
}

// refused ends a connection that its Handler did not want.
func (c *Conn) refused(err error) {
	c.srv.cfg.Stats.refuse("handler")
	c.srv.cfg.Log.Debug("connection refused", "transport", c.Transport(), "remote", c.RemoteAddr(), "reason", err)
	c.CloseWith(err, c.srv.farewell(err))
	c.linger()
	c.over()
}

// done tells the Receiver and the counters.
func (c *Conn) done() {
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
	if c.recv == nil {
		return // Open has ended its goroutine
	}
	defer func() {
		if p := recover(); p != nil {
			_ = c.srv.caught(c, "Closed", p)
		}
	}()
	c.recv.Closed(reason)
}

// linger waits, if the end is a graceful one, until what is queued is written and the client has seen it; then it closes the connection and returns
// when nothing is being written any more.
func (c *Conn) linger() {
	c.mu.Lock()
	if c.uncork(); c.more() { // a handler that has ended its goroutine has left it
		c.startWriting(nil)
	}
	graceful, until := c.graceful, c.until
	written := c.out.idle()
	c.mu.Unlock()
	if graceful {
		timer := time.NewTimer(time.Duration(until - c.srv.now()))
		select {
		case <-written:
			c.hangUp(until)
		case <-timer.C:
		}
		timer.Stop()
	}
	if c.steps != nil {
		c.steps.nc.Notify(nil)
	}
	_ = c.nc.Close()
	<-written
	c.mu.Lock()
	c.out.batch, c.out.taken = nil, 0
	c.mu.Unlock()
}

// hangUp ends our half of the connection and reads until the client has ended its own. Closing a socket with unread bytes in it would send a
// reset, which overtakes the last frame and destroys it.
func (c *Conn) hangUp(until int64) {
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
