package kcp

import (
	"encoding/binary"
	"sync"
	"time"
)

// ackWait is how long a client's acknowledgement waits for data that it can travel with. kcp-go sends it in a datagram of its own as soon as what has come
// acknowledges something, so just before a client that has got its answer sends its next request. It is long enough for that one, and little beside a
// round trip, which is measured with it.
const ackWait = 2 * time.Millisecond

// company lets a client's acknowledgement wait for the next datagram, as RFC 5681 (4.2) has it for TCP: it is sent at once if a second one comes, if something is missing before
// what it acknowledges, or if it is more than an acknowledgement.
type company struct {
	mtu   int // without the headers around KCP
	alone func()

	mu    sync.Mutex
	ack   [overhead]byte
	waits bool
	over  bool
	timer *time.Timer // calls alone; nil before the first one waits
}

// keep takes a datagram that may wait; false: it is to be sent.
func (c *company) keep(d []byte) bool {
	if len(d) != overhead || d[4] != cmdAck || since(binary.LittleEndian.Uint32(d[12:]), binary.LittleEndian.Uint32(d[16:])) >= 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waits || c.over {
		return false
	}
	c.waits = true
	copy(c.ack[:], d)
	if c.timer == nil {
		c.timer = time.AfterFunc(ackWait, c.alone)
	} else {
		c.timer.Reset(ackWait)
	}
	return true
}

// join appends what waits to dst, which is to be followed by n bytes of the same datagram. full: these are too many, so that dst is to be sent before.
func (c *company) join(dst []byte, n int) (_ []byte, full bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.waits {
		return dst, false
	}
	c.waits = false
	c.timer.Stop()
	return append(dst, c.ack[:]...), overhead+n > c.mtu
}

// stop has nothing begin to wait any more. What does already is for who joins next.
func (c *company) stop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.timer != nil {
		c.timer.Stop()
	}
}

// sendAlone sends the acknowledgement that has waited for company in vain.
func (l *link) sendAlone() {
	q := l.mem.packet(l.crypt.head())
	if q.bytes, _ = l.company.join(q.bytes, 0); len(q.bytes) > l.crypt.head() {
		l.send(l.crypt.seal(q.bytes))
	}
	l.mem.done(q)
}
