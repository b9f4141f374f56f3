package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/skua-go/skua/lua"
)

// conn is a TCP connection. Two goroutines work for it: one reads, from the moment when a service owns it, and one writes while there is something to write.
type conn struct {
	base
	tcp  net.Conn
	peer string

	// The rest is guarded by base.mu.

	parent  *user // with whom it is closed as long as nobody has started it
	in      rope
	ended   error // why nothing more comes; nil while something may
	need    need  // what the owner waits for
	wait    lua.Wait
	taking  bool      // it has been woken and has yet to take what came
	limit   int       // bytes that are too many while the owner does not wait for a number of them; 0: no limit
	paused  bool      // until the owner waits
	reader  bool      // the goroutine that reads has been started
	room    sync.Cond // what that waits for when it must not read
	told    bool      // the owner has been told of the end
	out     rope
	low     []string // what goes out when out is empty, each in one piece
	waiting int      // bytes in out and low, and those that are being written
	writer  bool     // the goroutine that writes runs
	warnAt  int      // the number of queued bytes at which the owner hears of it
	warned  []int    // what it has to hear, in KiB
	closing bool     // nothing more is read, nothing more is taken to be written
	dead    bool     // the connection is gone
}

// firstWarning is how many bytes wait to be written when the owner first hears of it; then at each doubling.
const firstWarning = 1 << 20

func newConn(n *Sockets, id int64, tcp net.Conn) *conn {
	c := &conn{base: base{id: id, node: n}, tcp: tcp, peer: addrPort(tcp.RemoteAddr()).String(), warnAt: firstWarning}
	c.in.pool, c.out.pool = &n.pool, &n.pool
	c.room.L = &c.mu
	return c
}

// serve reads until the end.
func (c *conn) serve() {
	class := 0
	for c.mayRead() {
		b := c.node.pool.get(class)
		n, err := c.tcp.Read(b.buf)
		b.w = n
		switch {
		case n == len(b.buf):
			class = min(class+1, numClasses-1)
		case class > 0 && n < len(b.buf)/8:
			class--
		}
		if !c.received(b) {
			c.node.pool.put(b)
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// mayRead waits until the owner has room; false when nothing is read any more.
func (c *conn) mayRead() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.ended == nil && c.full() {
		c.room.Wait()
	}
	return c.ended == nil
}

// full tells whether the peer has to wait.
func (c *conn) full() bool {
	switch {
	case c.owner == nil || c.paused:
		return true
	case c.need.kind == needBytes:
		return c.in.size >= max(c.need.bytes, c.node.cfg.ReadAhead)
	case c.need.kind == needLine || c.need.kind == needAll:
		return false // received looks after it
	default:
		return c.in.size >= c.node.cfg.ReadAhead
	}
}

// received takes what was read, and wakes the owner if that is what it waits for. It tells whether it keeps the chunk.
func (c *conn) received(b *chunk) (kept bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := b.w
	if n == 0 || c.ended != nil {
		return false
	}
	c.read.add(n)
	c.node.cfg.Metrics.read.Add(float64(n))
	kept = c.in.give(b)
	if !c.node.hold(n) {
		c.overflow(fmt.Errorf("all sockets together hold more than %d bytes", c.node.cfg.MaxMemory))
		return kept
	}
	met := c.need.met(&c.in)
	switch {
	case c.limit > 0 && c.in.size > c.limit && c.need.kind != needBytes:
		c.overflow(fmt.Errorf("%d bytes are unread, its limit is %d", c.in.size, c.limit))
	case !met && c.in.size > c.node.cfg.MaxUnread && c.need.kind != needNone:
		c.overflow(fmt.Errorf("%d bytes are unread while the script waits for more, at most %d are allowed", c.in.size, c.node.cfg.MaxUnread))
	case met:
		c.wake()
	}
	return kept
}

// overflow closes a connection that has passed a bound.
func (c *conn) overflow(why error) {
	c.node.cfg.Metrics.cut.Inc()
	c.node.cfg.Log.Warn("socket closed: buffer overflow", "id", c.id, "peer", c.peer, "error", why)
	c.gone(why)
}

// wake lets the owner go on, if it waits.
func (c *conn) wake() {
	if c.need.kind == needNone {
		return
	}
	w := c.wait
	c.need, c.wait, c.taking = need{}, lua.Wait{}, true
	w.Wake()
}

// end is what the reading goroutine has met: the end of what the peer has to say, after which it may still listen, or a failure.
func (c *conn) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return
	}
	if errors.Is(err, io.EOF) {
		c.finish(io.EOF)
		return
	}
	c.fail(err)
}

// fail ends a connection that its peer or the network has broken.
func (c *conn) fail(err error) {
	c.node.cfg.Log.Debug("socket failed", "id", c.id, "peer", c.peer, "error", err)
	c.gone(err)
}

// finish is the end of reading.
func (c *conn) finish(why error) {
	if c.ended == nil {
		c.ended = why
	}
	c.room.Broadcast()
	c.tell() // before the reader, as in Skynet
	c.wake()
}

// tell has the owner hear of the end, once.
func (c *conn) tell() {
	if c.ended != nil && !c.told && c.owner != nil {
		c.owner.post(c)
	}
}

// gone is the end of the connection in both directions. What was read stays.
func (c *conn) gone(why error) {
	if c.dead {
		return
	}
	c.dead = true
	c.tcp.Close()
	c.node.remove(c.id)
	if c.parent != nil {
		c.parent.del(c.id)
	}
	c.release()
	c.finish(why)
	if c.owner == nil || c.closing {
		c.forget()
	}
}

// release gives back what was to be written.
func (c *conn) release() {
	c.node.hold(-c.waiting)
	c.waiting, c.low = 0, nil
	c.out.clear()
}

// forget gives back what was read, unless a reader has yet to take it.
func (c *conn) forget() {
	if c.taking {
		return
	}
	c.node.hold(-c.in.size)
	c.in.clear()
}

// unread gives it back whoever was to take it: the service has ended.
func (c *conn) unread() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.taking = false
	c.forget()
}

// took follows each time that the owner has taken something out: there may be room again.
func (c *conn) took(n int) {
	c.node.hold(-n)
	c.room.Signal()
}

// close ends the connection when what was given to it is written; nothing is read any more.
func (c *conn) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing = true
	if c.dead {
		c.forget()
		return
	}
	if c.writer {
		c.tcp.SetDeadline(time.Now().Add(c.node.cfg.FlushTimeout)) //nolint:errcheck // fails when the connection is gone, which its reader has seen
		c.tcp.SetReadDeadline(time.Unix(1, 0))                     //nolint:errcheck // the same
		c.finish(net.ErrClosed)
		c.forget()
		return
	}
	c.gone(net.ErrClosed)
}

func (c *conn) abort(reason error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gone(reason)
}

// setOwner hands the connection to a service, nil for none, and starts to read. False if the service has ended.
func (c *conn) setOwner(u *user) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.owner == u {
		return true
	}
	if c.closing || u != nil && !u.add(c.id, c) {
		return false
	}
	if c.parent != nil && c.parent != u {
		c.parent.del(c.id)
	}
	c.parent = nil
	if c.owner != nil {
		c.owner.del(c.id)
		c.limit = 0 // were the old owner's
		c.warned = nil
	}
	c.owner, c.paused = u, false
	c.wake() // the old one's reader, for which there is nothing
	c.taking = false
	c.room.Broadcast()
	c.tell()
	if u != nil && !c.reader && c.ended == nil {
		c.reader = true
		c.node.tasks.Go(c.serve)
	}
	return true
}

// owned tells whether the service is the owner.
func (b *base) owned(u *user) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.owner == u
}
