package transport_test

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/net/transport"
)

// memory is a listener of connections that tell when there is something to read.
type memory struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func newMemory() *memory {
	return &memory{conns: make(chan net.Conn, 20000), done: make(chan struct{})}
}

func (m *memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.done:
		return nil, net.ErrClosed
	}
}

func (m *memory) Close() error   { m.once.Do(func() { close(m.done) }); return nil }
func (m *memory) Addr() net.Addr { return memoryAddr("server") }

type memoryAddr string

func (a memoryAddr) Network() string { return "memory" }
func (a memoryAddr) String() string  { return string(a) }

// dial makes a connection from that address.
func (m *memory) dial(from string) *memConn {
	c := &memConn{from: memoryAddr(from)}
	c.cond = sync.NewCond(&c.mu)
	m.conns <- c
	return c
}

// memConn is the server's end of a connection in memory; its other methods are the client's.
type memConn struct {
	from memoryAddr
	mu   sync.Mutex
	cond *sync.Cond // something has been written, read, or closed

	in       [][]byte // a read gets one of them at most
	readErr  error    // behind in
	notify   func()
	readBy   time.Time
	timer    *time.Timer
	out      []byte
	writes   []int // the length of each
	room     int   // how much the client accepts before it blocks; 0: all
	writeErr error
	writeBy  time.Time
	armed    int // calls of SetWriteDeadline
	closed   bool
	halfOpen bool // CloseWrite was called
}

func (c *memConn) ReadNow(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.read(p)
}

// read is ReadNow; the lock is held.
func (c *memConn) read(p []byte) (int, error) {
	switch {
	case c.closed:
		return 0, net.ErrClosed
	case !c.readBy.IsZero() && !time.Now().Before(c.readBy):
		return 0, os.ErrDeadlineExceeded
	case len(c.in) > 0:
		n := copy(p, c.in[0])
		if c.in[0] = c.in[0][n:]; len(c.in[0]) == 0 {
			c.in = c.in[1:]
		}
		return n, nil
	}
	return 0, c.readErr
}

// Read waits.
func (c *memConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		n, err := c.read(p)
		if n > 0 || err != nil {
			return n, err
		}
		c.cond.Wait()
	}
}

func (c *memConn) Notify(f func()) {
	c.mu.Lock()
	c.notify = f
	something := len(c.in) > 0 || c.readErr != nil
	c.mu.Unlock()
	if something && f != nil {
		f()
	}
}

// news tells whoever reads.
func (c *memConn) news() {
	c.mu.Lock()
	f := c.notify
	c.cond.Broadcast()
	c.mu.Unlock()
	if f != nil {
		f()
	}
}

// at calls f at that time, on a goroutine of its own. A timer of the past in a bubble of synctest makes the race detector crash (Go 1.26).
func at(t time.Time, f func()) *time.Timer {
	if d := time.Until(t); d > 0 {
		return time.AfterFunc(d, f)
	}
	go f()
	return nil
}

func (c *memConn) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.readBy = t
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
	if !t.IsZero() && !c.closed {
		c.timer = at(t, c.news)
	}
	return nil
}

func (c *memConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writeBy = t
	c.armed++
	at(t, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cond.Broadcast()
	})
	return nil
}

func (c *memConn) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *memConn) Write(p []byte) (n int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.writes = append(c.writes, len(p))
	for {
		switch now := time.Now(); {
		case c.writeErr != nil:
			return n, c.writeErr
		case c.closed || c.halfOpen:
			return n, net.ErrClosed
		case !c.writeBy.IsZero() && !now.Before(c.writeBy):
			return n, os.ErrDeadlineExceeded
		}
		fits := len(p) - n
		if c.room > 0 {
			fits = min(fits, max(0, c.room-len(c.out)))
		}
		c.out = append(c.out, p[n:n+fits]...)
		if n += fits; fits > 0 {
			c.cond.Broadcast()
		}
		if n == len(p) {
			return n, nil
		}
		c.cond.Wait()
	}
}

func (c *memConn) CloseWrite() error {
	c.mu.Lock()
	c.halfOpen = true
	if c.readErr == nil {
		c.readErr = io.EOF // a client that ends when we do
	}
	c.mu.Unlock()
	c.news()
	return nil
}

func (c *memConn) Close() error {
	c.mu.Lock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.mu.Unlock()
	c.news()
	return nil
}

func (c *memConn) RemoteAddr() net.Addr { return c.from }
func (c *memConn) LocalAddr() net.Addr  { return memoryAddr("server") }

// send is what the client sends, as one read of the server.
func (c *memConn) send(p []byte) {
	c.mu.Lock()
	c.in = append(c.in, p)
	c.mu.Unlock()
	c.news()
}

// end is the client's end.
func (c *memConn) end(err error) {
	c.mu.Lock()
	c.readErr = err
	c.mu.Unlock()
	c.news()
}

// receive waits for the next frame.
func (c *memConn) receive(t *testing.T) string {
	t.Helper()
	stop := time.AfterFunc(patience, func() { panic("nothing arrives") })
	defer stop.Stop()
	c.mu.Lock()
	defer c.mu.Unlock()
	for {
		n, f, err := split(c.out)
		if err != nil {
			t.Fatal(err)
		}
		if n > 0 {
			c.out = c.out[n:]
			c.cond.Broadcast()
			return string(f[2:])
		}
		c.cond.Wait()
	}
}

func (c *memConn) isClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// streamOnly hides what a connection can do beside net.Conn.
type streamOnly struct{ net.Conn }

// streams is a listener of such connections.
type streams struct{ *memory }

func (s streams) Accept() (net.Conn, error) {
	c, err := s.memory.Accept()
	if err != nil {
		return nil, err
	}
	return streamOnly{c}, nil
}

// inMemory starts a server whose connections are in memory: those that tell when there is something to read, or plain ones.
func inMemory(t *testing.T, plain bool, cfg transport.Config, onFrame func(*session, string) error, onOpen func(*session) error) (*server, *memory) {
	t.Helper()
	m := newMemory()
	return serveOn(t, m.listener(plain), cfg, onFrame, onOpen), m
}

// listener is m itself, or one of plain connections.
func (m *memory) listener(plain bool) net.Listener {
	if plain {
		return streams{m}
	}
	return m
}

// both runs a test over connections with a reading goroutine and over such without.
func both(t *testing.T, f func(t *testing.T, plain bool)) {
	t.Run("goroutine", func(t *testing.T) { f(t, true) })
	t.Run("steps", func(t *testing.T) { f(t, false) })
}
