package socket

import (
	"fmt"
	"net"
)

// batch is how much the writing goroutine takes at a time, roughly: what it has taken counts as queued until it is written.
const batch = 256 << 10

// write queues the parts, as they are or behind all else; false when the connection takes nothing more.
func (c *conn) write(parts []string, low bool) bool {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead || c.closing {
		return false
	}
	if n == 0 {
		return true
	}
	c.waiting += n
	held := c.node.hold(n)
	switch {
	case c.waiting > c.node.cfg.MaxUnwritten:
		c.overflow(fmt.Errorf("%d bytes wait to be written, at most %d are allowed", c.waiting, c.node.cfg.MaxUnwritten))
		return false
	case !held:
		c.overflow(fmt.Errorf("all sockets together hold more than %d bytes", c.node.cfg.MaxMemory))
		return false
	}
	if low {
		c.low = append(c.low, parts...)
	} else {
		for _, p := range parts {
			c.out.writeString(p)
		}
	}
	if c.waiting >= c.warnAt {
		for c.waiting >= c.warnAt {
			c.warnAt *= 2
		}
		c.warn((c.waiting + 1023) / 1024)
	}
	if !c.writer {
		c.writer = true
		c.node.tasks.Go(c.flush)
	}
	return true
}

// warn has the owner hear how many KiB wait, 0 for none any more.
func (c *conn) warn(kib int) {
	if c.owner == nil {
		return
	}
	if len(c.warned) >= maxEvents { // the owner is too busy to hear of each
		c.warned = c.warned[:0]
	}
	c.warned = append(c.warned, kib)
	c.owner.post(c)
}

// flush writes until nothing is left.
func (c *conn) flush() {
	for {
		taken := c.taken()
		if taken == nil {
			return
		}
		var buffers net.Buffers
		n := 0
		for b := taken; b != nil; b = b.next {
			buffers = append(buffers, b.bytes())
			n += b.w - b.r
		}
		_, err := buffers.WriteTo(c.tcp)
		c.written(taken, n, err)
		if err != nil {
			return
		}
	}
}

// taken takes what is to be written next; nil when there is nothing, and the goroutine is to end.
func (c *conn) taken() *chunk {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return nil
	}
	for c.out.head == nil && len(c.low) > 0 {
		c.out.writeString(c.low[0])
		c.low[0] = ""
		c.low = c.low[1:]
	}
	if c.out.head == nil {
		c.low, c.writer = nil, false
		if c.warnAt > firstWarning {
			c.warnAt = firstWarning
			c.warn(0)
		}
		if c.closing {
			c.gone(net.ErrClosed)
		}
		return nil
	}
	first := c.out.drop()
	for last, n := first, first.w-first.r; c.out.head != nil && n < batch; last = last.next {
		last.next = c.out.drop()
		n += last.next.w - last.next.r
	}
	return first
}

// written counts what has gone out, and gives back the chunks.
func (c *conn) written(taken *chunk, n int, err error) {
	for taken != nil {
		next := taken.next
		c.node.pool.put(taken)
		taken = next
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return // which has given back all that was queued
	}
	if err != nil {
		c.fail(err)
		return
	}
	c.waiting -= n
	c.node.hold(-n)
	c.wrote.add(n)
	c.node.cfg.Metrics.written.Add(float64(n))
}
