package kcp

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// Why sessions fail. Errors of connections wrap them, or io.EOF, net.ErrClosed, os.ErrDeadlineExceeded, syscall.ECONNRESET (the peer is gone, and not all that
// it had written has arrived), syscall.EPIPE (written after the end).
var (
	ErrSilence = errors.New("kcp: nothing heard from the peer for too long")
	ErrDead    = errors.New("kcp: the peer acknowledges nothing")
)

const (
	// lingerFor is how long a closed session goes on delivering what was written.
	lingerFor = 2000
	// lingerLast is how long it does so when the listener is closed: a few retransmissions. Then the port is free.
	lingerLast = 300
	// lateFor is how long what was overtaken by the peer's farewell may still arrive.
	lateFor = 300
	// rawDrain is how long reading goes on after CloseWrite on a session without ends, when the peer does not acknowledge: a few retransmissions.
	rawDrain = 300
	endMost  = 2000 // between two tellings of an end
)

// conn is a session at the server. Everything in it is guarded by its shard's lock, but for sh and raw, which don't change.
type conn struct {
	sh     *shard
	remote netip.AddrPort
	block  block
	timer  timer
	key    [keyLen]byte
	fecOut *fecEncoder
	fecIn  *fecDecoder
	notify func()

	writing sync.Mutex // held by a Write, so that those of several goroutines don't mix; taken before the shard's lock

	readers, writers chan struct{} // closed when it is worth another try; nil while nobody waits
	readBy, writeBy  int64         // deadlines in milliseconds of the listener's clock; 0: none
	heard, earlier   int64         // when the last datagram came, and the one before it
	closeBy          int64         // when a closed session, or one whose peer is gone, ends in any case; 0: it does not
	endAt            int64         // when the end of our stream is told again; 0: not
	challenged       int64
	err              error // why the session has failed
	endWait          int32
	resent           uint32 // segments sent again
	theirEnd         uint32 // the number of segments in the peer's stream, when theirEnded

	raw                   bool
	closed                bool // by Close
	gone                  bool // the listener does not know it any more
	hungry                bool // ReadNow has said that there is nothing
	dirty                 bool // is to be settled
	ended, endKnown       bool // CloseWrite was called; the peer has heard of that, or, once closed, of that
	theirEnded, theirGone bool
}

// ReadNow is Read that never waits: n == 0 and err == nil mean that there is nothing now.
func (c *conn) ReadNow(p []byte) (n int, err error) {
	c.sh.mu.Lock()
	n, err = c.take(p)
	c.hungry = n == 0 && err == nil && len(p) > 0
	if c.hungry && c.readBy != 0 {
		c.schedule(c.sh.now())
	}
	err = c.wrap("read", err)
	c.sh.leave()
	return n, err
}

// Way is the smoothed round trip to the client, how many segments went there, and how many of these were sent again. It is false before the first one was acknowledged. The round trip is measured in milliseconds, and
// may be none.
func (c *conn) Way() (rtt time.Duration, sent, resent uint64, ok bool) {
	c.sh.mu.Lock()
	defer c.sh.leave()
	b := &c.block
	resent = uint64(c.resent)
	return time.Duration(b.srtt) * time.Millisecond, uint64(b.sndNxt) + resent, resent, b.sndUna > 0
}

// Notify sets what is called when ReadNow may have something to say after it had nothing: bytes, the end, an error, a deadline that has passed; and once if that
// is so already. f is called on goroutines of the listener, must not block, and may be called twice at a time. nil takes it away.
func (c *conn) Notify(f func()) {
	c.sh.mu.Lock()
	defer c.sh.leave()
	c.notify = f
	c.hungry = f != nil
	if f != nil && c.tellable(c.sh.now()) {
		c.wakeReaders()
	}
}

// tellable says whether a Read would return.
func (c *conn) tellable(now int64) bool {
	return c.closed || c.err != nil || c.block.readable() || c.atEnd(now) || c.readBy != 0 && now >= c.readBy
}

// Read reads from the stream. It returns io.EOF where the peer has ended it.
func (c *conn) Read(p []byte) (int, error) {
	for {
		c.sh.mu.Lock()
		n, err := c.take(p)
		if n > 0 || err != nil || len(p) == 0 {
			err = c.wrap("read", err)
			c.sh.leave()
			return n, err
		}
		if c.readers == nil {
			c.readers = make(chan struct{})
		}
		wait := c.readers
		c.schedule(c.sh.now())
		c.sh.leave()
		<-wait
	}
}

func (c *conn) take(p []byte) (int, error) {
	now := c.sh.now()
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case c.readBy != 0 && now >= c.readBy:
		return 0, os.ErrDeadlineExceeded
	}
	if n := c.block.read(p); n > 0 {
		if c.block.urgent && !c.gone {
			c.flush(now)
		}
		return n, nil
	}
	switch {
	case c.atEnd(now):
		return 0, io.EOF
	case c.err != nil:
		return 0, c.err
	}
	return 0, nil
}

// atEnd says whether everything that the peer has written has been read.
func (c *conn) atEnd(now int64) bool {
	if c.block.readable() {
		return false
	}
	if c.raw { // nobody tells; when we are done, and what we wrote has arrived, so is the connection
		return c.ended && (c.block.waiting() == 0 || now >= c.closeBy)
	}
	return c.theirEnded && since(c.block.rcvNxt, c.theirEnd) >= 0
}

// Write queues p to be sent, at once as far as the windows allow, and blocks only while more than SndWnd packets would wait.
func (c *conn) Write(p []byte) (n int, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	sh := c.sh
	sh.mu.Lock()
	for {
		now := sh.now()
		if err = c.writable(now); err != nil {
			break
		}
		some := p[:min(len(p), c.block.room())]
		c.block.write(some)
		n, p = n+len(some), p[len(some):]
		c.flush(now)
		if len(p) == 0 {
			c.schedule(now)
			break
		}
		if c.writers == nil {
			c.writers = make(chan struct{})
		}
		wait := c.writers
		c.schedule(now)
		sh.leave()
		<-wait
		sh.mu.Lock()
	}
	err = c.wrap("write", err)
	sh.leave()
	return n, err
}

// WriteLate is Write, but what it has written may leave only with the listener's next SendLate. Before it waits it has everything leave that was written so.
func (c *conn) WriteLate(p []byte) (int, error) {
	if done, err := c.writeLate(p); err != nil {
		return 0, err
	} else if done {
		return len(p), nil
	}
	c.sh.l.SendLate()
	return c.Write(p)
}

// writeLate writes all, or nothing if there is no room for it.
func (c *conn) writeLate(p []byte) (done bool, err error) {
	c.writing.Lock()
	defer c.writing.Unlock()
	sh := c.sh
	sh.mu.Lock()
	now := sh.now()
	if err = c.writable(now); err == nil && c.block.room() >= len(p) {
		c.block.write(p)
		c.flush(now)
		c.schedule(now)
		if len(sh.out) < batchSize && len(sh.wakes) == 0 {
			sh.mu.Unlock()
			return true, nil
		}
		done = true
	}
	err = c.wrap("write", err)
	sh.leave()
	return done, err
}

// Room is how many bytes Write takes now without waiting. Only other Writes make it less.
func (c *conn) Room() int {
	c.sh.mu.Lock()
	defer c.sh.mu.Unlock()
	return c.block.room()
}

// AwaitRoom waits until half of the send window is free, or until Write would fail: for who writes what may wait, so that it does not fill the window with it. Others still find room then.
func (c *conn) AwaitRoom() {
	for {
		c.sh.mu.Lock()
		now := c.sh.now()
		if c.writable(now) != nil || c.block.room() >= int(c.block.set.sndWnd)/2*c.block.set.mss {
			c.sh.leave()
			return
		}
		if c.writers == nil {
			c.writers = make(chan struct{})
		}
		wait := c.writers
		c.schedule(now)
		c.sh.leave()
		<-wait
	}
}

func (c *conn) writable(now int64) error {
	switch {
	case c.closed:
		return net.ErrClosed
	case c.err != nil:
		return c.err
	case c.ended, c.theirGone:
		return syscall.EPIPE
	case c.writeBy != 0 && now >= c.writeBy:
		return os.ErrDeadlineExceeded
	}
	return nil
}

// CloseWrite ends our half of the stream: the peer reads io.EOF behind everything that was written. A raw client can't be told; there, Read returns
// io.EOF as soon as it has acknowledged everything, or when it has had time for that.
func (c *conn) CloseWrite() error {
	c.sh.mu.Lock()
	defer c.sh.leave()
	now := c.sh.now()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	if c.ended || c.gone {
		return nil
	}
	c.ended = true
	if c.raw {
		c.closeBy = now + rawDrain
	}
	c.settle(now)
	return nil
}

// Close ends the session. What was written is still delivered as far as that is possible within 2 s, or 0.3 s once the listener is closed; then the peer is told.
func (c *conn) Close() error {
	err := c.close()
	if l := c.sh.l; err == nil && l.pending.Load() {
		<-l.over // so that the port is free when the last connection of a closed listener is closed
	}
	return err
}

func (c *conn) close() error {
	c.sh.mu.Lock()
	defer c.sh.leave()
	if c.closed {
		return c.wrap("close", net.ErrClosed)
	}
	c.closed = true
	c.notify = nil
	c.wakeReaders()
	c.wakeWriters()
	if c.gone {
		c.block.release()
		c.sh.wheel.disarm(c)
		c.sh.l.closedBehind()
		return nil
	}
	now := c.sh.now()
	if !c.raw || !c.ended { // else it has had its time
		c.closeBy = now + lingerFor
		if c.sh.l.isClosed() {
			c.closeBy = now + lingerLast
		}
	}
	c.endKnown, c.endAt, c.endWait = false, 0, 0
	c.flush(now)
	c.settle(now)
	return nil
}

// LocalAddr is the listener's address.
func (c *conn) LocalAddr() net.Addr { return c.sh.l.Addr() }

// RemoteAddr is the client's address, the newest that it has proven.
func (c *conn) RemoteAddr() net.Addr {
	c.sh.mu.Lock()
	defer c.sh.mu.Unlock()
	return net.UDPAddrFromAddrPort(c.remote)
}

// SetDeadline sets both deadlines. They cost no timer of the runtime, and Reads and Writes that wait notice them up to 0.1 s late.
func (c *conn) SetDeadline(t time.Time) error { return c.setDeadlines(t, true, true) }

// SetReadDeadline sets the deadline of Reads, which may be in one.
func (c *conn) SetReadDeadline(t time.Time) error { return c.setDeadlines(t, true, false) }

// SetWriteDeadline sets the deadline of Writes, which may be in one.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.setDeadlines(t, false, true) }

func (c *conn) setDeadlines(t time.Time, read, write bool) error {
	c.sh.mu.Lock()
	defer c.sh.leave()
	if c.closed {
		return c.wrap("set", net.ErrClosed)
	}
	now, at := c.sh.now(), int64(0)
	if !t.IsZero() {
		at = now + max(0, int64((time.Until(t)+time.Millisecond-1)/time.Millisecond))
	}
	if read {
		if c.readBy = at; at != 0 && at <= now {
			c.wakeReaders()
		}
	}
	if write {
		if c.writeBy = at; at != 0 && at <= now {
			c.wakeWriters()
		}
	}
	c.schedule(now)
	return nil
}

// wrap makes an error what net's connections return; the shard is locked.
func (c *conn) wrap(op string, err error) error {
	if err == nil || err == io.EOF { //nolint:errorlint // it comes from take as it is
		return err
	}
	return &net.OpError{Op: op, Net: "kcp", Source: c.LocalAddr(), Addr: net.UDPAddrFromAddrPort(c.remote), Err: err}
}

// wakeReaders lets those that wait for bytes look again.
func (c *conn) wakeReaders() {
	if c.readers != nil {
		close(c.readers)
		c.readers = nil
	}
	if c.hungry && c.notify != nil {
		c.sh.wakes = append(c.sh.wakes, c.notify)
		c.hungry = false
	}
}

func (c *conn) wakeWriters() {
	if c.writers != nil {
		close(c.writers)
		c.writers = nil
	}
}
