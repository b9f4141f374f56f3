package kcp

import (
	"math"
	"syscall"
)

// emit sends a datagram of the control block.
func (c *conn) emit(p *packet) {
	sh := c.sh
	f := sh.l.fec
	if f == nil {
		sh.send(p, c.remote)
		return
	}
	if c.fecOut == nil {
		c.fecOut = new(fecEncoder)
	}
	parity := c.fecOut.encode(f, sh.l.mem, p, sh.l.crypt.head(), uint32(sh.now()))
	sh.send(p, c.remote)
	for _, q := range parity {
		sh.send(q, c.remote)
	}
}

// flush lets the control block send what it has.
func (c *conn) flush(now int64) {
	c.block.flush(uint32(now), c)
	if c.block.resent > 0 {
		st := c.sh.l.cfg.Stats
		st.resent.Add(uint64(c.block.resent))
		st.lost.Add(uint64(c.block.lost))
		c.resent += c.block.resent
		c.block.resent, c.block.lost = 0, 0
	}
	if c.block.repeated > 0 {
		c.sh.l.cfg.Stats.repeated.Add(uint64(c.block.repeated))
		c.block.repeated = 0
	}
	if c.block.dead {
		c.fail(ErrDead, endedDead)
	}
}

// settle does what datagrams, calls and time have made necessary.
func (c *conn) settle(now int64) {
	c.dirty = false
	if c.gone {
		return
	}
	if c.closed {
		c.discard()
	}
	if c.block.urgent {
		c.flush(now)
	}
	delivered := c.block.waiting() == 0
	switch {
	case c.gone: // the flush has found it dead
		return
	case c.theirGone && (c.closed || since(c.block.rcvNxt, c.theirEnd) >= 0):
		c.drop(endedPeer)
	case c.theirGone && now >= c.closeBy:
		c.fail(syscall.ECONNRESET, endedPeer)
	case c.closed && (now >= c.closeBy || c.raw && delivered || c.endKnown):
		if !delivered && !c.raw {
			c.tellEnd(now, endWhole|endBroken)
		}
		c.drop(endedClosed)
	case c.closed && delivered && now >= c.endAt:
		c.tellEnd(now, endWhole)
	case !c.closed && c.ended && !c.endKnown && delivered && !c.raw && now >= c.endAt:
		c.tellEnd(now, 0)
	}
	if c.tellable(now) {
		c.wakeReaders()
	}
	if c.block.room() > 0 {
		c.wakeWriters()
	}
	c.schedule(now)
}

// discard throws away what a closed session receives.
func (c *conn) discard() {
	c.block.set.mem.freeAll(&c.block.rcvQueue)
	c.block.order()
	c.block.set.mem.freeAll(&c.block.rcvQueue)
}

// tellEnd tells the peer that our stream ends here, or that we are gone, again and again until it answers.
func (c *conn) tellEnd(now int64, flags byte) {
	c.endWait = min(max(c.endWait+c.endWait/2, max(rtoNoDelay, 2*c.block.srtt)), endMost)
	c.endAt = now + int64(c.endWait)
	c.control(func(d []byte) []byte {
		return endMsg(d, ctlEnd, c.block.conv, flags, c.block.sndNxt, &c.key, fromServer)
	})
}

func (c *conn) control(f func(d []byte) []byte) {
	p := c.sh.l.mem.packet(c.sh.l.crypt.head())
	p.bytes = f(p.bytes)
	c.sh.send(p, c.remote)
}

// expire is called by the wheel.
func (c *conn) expire(now int64) {
	if c.readBy != 0 && now >= c.readBy {
		c.wakeReaders()
	}
	if c.writeBy != 0 && now >= c.writeBy {
		c.wakeWriters()
	}
	if c.gone {
		c.schedule(now)
		return
	}
	if now-c.heard >= c.silence() {
		c.fail(ErrSilence, endedSilence)
		c.schedule(now)
		return
	}
	if c.fecOut != nil {
		c.fecOut.stale(c.sh.l.fec, c.sh.l.mem, uint32(now))
	}
	if c.fecIn != nil {
		c.fecIn.stale(c.sh.l.mem, uint32(now))
	}
	if wait, ok := c.block.next(uint32(now)); ok && wait == 0 {
		c.flush(now)
	}
	c.settle(now)
}

func (c *conn) silence() int64 {
	if c.raw {
		return 2 * c.sh.l.silence
	}
	return c.sh.l.silence
}

// schedule puts the session where the wheel finds it when there is something to do.
func (c *conn) schedule(now int64) {
	at := int64(math.MaxInt64)
	if !c.gone {
		at = coarse(now, c.heard+c.silence())
		if wait, ok := c.block.next(uint32(now)); ok {
			at = min(at, now+int64(wait))
		}
		if c.closeBy != 0 {
			at = min(at, max(now, c.closeBy))
		}
		if c.endAt != 0 && !c.endKnown {
			at = min(at, max(now, c.endAt))
		}
	}
	if c.readBy > now && (c.readers != nil || c.hungry) {
		at = min(at, coarse(now, c.readBy))
	}
	if c.writeBy > now && c.writers != nil {
		at = min(at, coarse(now, c.writeBy))
	}
	if at < math.MaxInt64 {
		c.sh.arm(c, at)
	}
}

// coarse moves a time to come so that many sessions come up together.
func coarse(now, at int64) int64 {
	const bucket, fine = 100, 1600
	if at-now < fine {
		return at
	}
	return (at + bucket - 1) / bucket * bucket
}

// fail ends the session with an error. What was received before can still be read.
func (c *conn) fail(err error, reason int) {
	if c.gone {
		return
	}
	c.err = err
	c.drop(reason)
}

// drop takes the session from the listener.
func (c *conn) drop(reason int) {
	c.gone = true
	sh := c.sh
	sh.forget(c)
	sh.wheel.disarm(c)
	sh.l.cfg.Stats.ended[reason].Add(1)
	mem := sh.l.mem
	mem.freeAll(&c.block.sndQueue)
	mem.freeAll(&c.block.sndBuf)
	c.block.acks = nil
	if c.fecOut != nil {
		c.fecOut.release(mem)
		c.fecOut = nil
	}
	if c.fecIn != nil {
		c.fecIn.release(mem)
		c.fecIn = nil
	}
	if c.closed {
		c.block.release()
		sh.l.closedBehind()
		return
	}
	c.wakeReaders()
	c.wakeWriters()
}
