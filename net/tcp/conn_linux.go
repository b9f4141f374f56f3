package tcp

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

type netAddr = net.TCPAddr

// conn is an accepted connection.
type conn struct {
	p             *poller
	fd            int
	local, remote *netAddr
	users         atomic.Int32 // of the socket, and closing
	ready         atomic.Bool  // something may have come since a read has found no more
	hangup        atomic.Bool  // the peer sends no more
	timer         timer        // of the read deadline

	lateRead  atomic.Bool // the read deadline has passed
	lateWrite atomic.Bool // the write deadline had passed when it was set, or when somebody waited for it

	mu       sync.Mutex
	notify   func()
	writeBy  time.Time
	readable chan struct{} // closed when a reader that waits should look again; nil when none waits
	writable chan struct{}
}

// closing is set in users when nobody may use the socket any more; who is in it still goes on, and the last one closes it.
const closing = 1 << 30

// acquire keeps the socket open until done.
func (c *conn) acquire() bool {
	for {
		n := c.users.Load()
		if n >= closing {
			return false
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *conn) done() {
	if c.users.Add(-1) == closing {
		c.closeSocket()
	}
}

func (c *conn) closeSocket() {
	c.p.wheel.set(&c.timer, time.Time{})
	fd := c.fd
	c.p.forget(fd)
	_ = syscall.Close(fd) // takes it out of the epoll as well; nobody could do anything about an error
}

// happened is called by the poller.
func (c *conn) happened(events uint32) {
	if events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.hangup.Store(true)
	}
	if events&(syscall.EPOLLOUT|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
		c.mu.Lock()
		c.wakeWriter()
		c.mu.Unlock()
	}
	if events&^syscall.EPOLLOUT != 0 {
		c.ready.Store(true)
		c.wakeReader()
	}
}

// wakeReader has whoever waits to read look again.
func (c *conn) wakeReader() {
	c.mu.Lock()
	if c.readable != nil {
		close(c.readable)
		c.readable = nil
	}
	f := c.notify
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// wakeWriter has whoever waits to write look again. The lock is held.
func (c *conn) wakeWriter() {
	if c.writable != nil {
		close(c.writable)
		c.writable = nil
	}
}

// Notify is part of the contract with package transport.
func (c *conn) Notify(f func()) {
	c.mu.Lock()
	c.notify = f
	c.mu.Unlock()
	if f != nil && c.ready.Load() {
		f()
	}
}

// briefBytes is how much at most is read or written in one call that Go's scheduler does not hear of. More would take the kernel too long for others to wait.
const briefBytes = 16 << 10

// ReadNow is part of the contract with package transport.
func (c *conn) ReadNow(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if err := c.readExpired(); err != nil {
		return 0, c.failed("read", err)
	}
	if !c.ready.Load() {
		return 0, nil // the last read has found all there was, and nothing has come since
	}
	if !c.acquire() {
		return 0, c.failed("read", net.ErrClosed)
	}
	defer c.done()
	p = p[:min(len(p), briefBytes)]
	for {
		// Before the read: what comes after it is told again.
		c.ready.Store(false)
		n, err := read(c.fd, p)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, nil
		case err != nil:
			c.ready.Store(true) // the next read fails too
			return 0, c.failed("read", os.NewSyscallError("read", err))
		case n == 0:
			c.ready.Store(true)
			return 0, io.EOF
		}
		if n == len(p) || c.hangup.Load() {
			c.ready.Store(true) // there may be more, and a hang-up is told only once
		}
		return n, nil
	}
}

// readExpired tells why nobody may read.
func (c *conn) readExpired() error { return c.expired(&c.lateRead) }

func (c *conn) expired(late *atomic.Bool) error {
	if c.users.Load() >= closing {
		return net.ErrClosed
	}
	if late.Load() {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// Read waits until there is something to read.
func (c *conn) Read(p []byte) (int, error) {
	for {
		n, err := c.ReadNow(p)
		if n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
		c.mu.Lock()
		if c.readable == nil {
			c.readable = make(chan struct{})
		}
		changed := c.readable
		c.mu.Unlock()
		if c.ready.Load() || c.readExpired() != nil {
			continue // it has come before somebody waited for it
		}
		<-changed // the wheel keeps the deadline
	}
}

// Write waits until all of p is on its way.
func (c *conn) Write(p []byte) (n int, err error) {
	if !c.acquire() {
		return 0, c.failed("write", net.ErrClosed)
	}
	defer c.done()
	var changed chan struct{}
	for {
		if err := c.expired(&c.lateWrite); err != nil {
			return n, c.failed("write", err)
		}
		m, err := write(c.fd, p[n:])
		if m > 0 {
			n += m
		}
		switch {
		case n == len(p):
			return n, nil
		case err == nil, errors.Is(err, syscall.EINTR):
			continue
		case !errors.Is(err, syscall.EAGAIN):
			return n, c.failed("write", os.NewSyscallError("write", err))
		case changed == nil:
			changed = c.willWrite() // and try again: it may have become possible before
			continue
		}
		c.waitToWrite(changed)
		changed = nil
	}
}

// willWrite announces somebody who waits to write.
func (c *conn) willWrite() chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writable == nil {
		c.writable = make(chan struct{})
	}
	return c.writable
}

// waitToWrite waits until that is possible again, or its deadline has passed or moved.
func (c *conn) waitToWrite(changed chan struct{}) {
	c.mu.Lock()
	by := c.writeBy
	c.mu.Unlock()
	if by.IsZero() {
		<-changed
		return
	}
	t := time.NewTimer(time.Until(by))
	defer t.Stop()
	select {
	case <-changed:
		return
	case <-t.C:
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.writeBy.Equal(by) {
		c.lateWrite.Store(true)
	}
}

// SetWriteBuffer asks the system to keep that many bytes which the peer has not taken, in the place of what it thinks best.
func (c *conn) SetWriteBuffer(bytes int) error {
	if !c.acquire() {
		return c.failed("set", net.ErrClosed)
	}
	defer c.done()
	if err := syscall.SetsockoptInt(c.fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, bytes); err != nil {
		return c.failed("set", os.NewSyscallError("setsockopt", err))
	}
	return nil
}

// CloseWrite ends the own half of the connection.
func (c *conn) CloseWrite() error {
	if !c.acquire() {
		return c.failed("close", net.ErrClosed)
	}
	defer c.done()
	if err := syscall.Shutdown(c.fd, syscall.SHUT_WR); err != nil {
		return c.failed("close", os.NewSyscallError("shutdown", err))
	}
	return nil
}

// Close closes the connection; whoever reads or writes is woken.
func (c *conn) Close() error {
	for {
		n := c.users.Load()
		if n >= closing {
			return c.failed("close", net.ErrClosed)
		}
		if c.users.CompareAndSwap(n, n+closing) {
			if n == 0 {
				c.closeSocket()
			}
			break
		}
	}
	c.mu.Lock()
	c.wakeWriter()
	c.mu.Unlock()
	c.wakeReader()
	return nil
}

// LocalAddr is the server's address.
func (c *conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr is the client's address.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline is SetReadDeadline and SetWriteDeadline.
func (c *conn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

// SetReadDeadline sets until when reads wait; it may be late by 100 ms. One of the past counts at once.
func (c *conn) SetReadDeadline(t time.Time) error {
	if !c.acquire() {
		return c.failed("set", net.ErrClosed)
	}
	defer c.done()
	if c.p.wheel.set(&c.timer, t) {
		c.wakeReader()
	}
	return nil
}

// SetWriteDeadline sets until when writes wait. One that need not wait succeeds also after a deadline that was not past when it was set.
func (c *conn) SetWriteDeadline(t time.Time) error {
	if !c.acquire() {
		return c.failed("set", net.ErrClosed)
	}
	defer c.done()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	c.lateWrite.Store(!t.IsZero() && !time.Now().Before(t))
	c.wakeWriter()
	return nil
}

func (c *conn) failed(op string, err error) error {
	return &net.OpError{Op: op, Net: "tcp", Source: c.local, Addr: c.remote, Err: err}
}
