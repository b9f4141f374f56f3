package kcp

import (
	"encoding/binary"
	"net/netip"
)

// datagram takes one for a conversation of this shard; the shard is locked.
// active: it must not wait for others.
func (sh *shard) datagram(d []byte, kind byte, from netip.AddrPort, conv uint32, now int64) (active bool) {
	c := sh.sessions[conv]
	if c == nil || c.remote != from {
		r := sh.rawSession(d, kind, from, conv, now)
		if r == nil {
			sh.stranger(c, d, kind, from, conv, now)
			return true
		}
		c = r
	}
	switch kind {
	case 0:
		active = c.hear(now)
		c.segments(d, now)
	case ctlPing:
		if c.raw {
			return false
		}
		active = c.hear(now)
		c.control(func(p []byte) []byte { return pingMsg(p, ctlPong, conv, d[8:16]) })
	case ctlEnd, ctlEnded:
		c.end(d, kind, from, now)
	case ctlProof:
		return false // it is here already: a repeated one
	}
	if !c.dirty && !c.gone {
		c.dirty = true
		sh.dirty = append(sh.dirty, c)
	}
	return active
}

// hear notes that a datagram has come, and says whether more than a heartbeat and the acknowledgement of its answer have come in the last second.
func (c *conn) hear(now int64) (active bool) {
	const idle = 1000
	active = now-c.earlier < idle
	c.earlier, c.heard = c.heard, now
	return active
}

// segments feeds the control block.
func (c *conn) segments(d []byte, now int64) {
	l := c.sh.l
	if d[4] == fecData || d[4] == fecParity {
		c.shards(d, now)
		return
	}
	if c.block.input(d, uint32(now), false) != nil {
		l.cfg.Stats.malformed.Add(1)
	}
}

// shards takes a datagram with an FEC header.
func (c *conn) shards(d []byte, now int64) {
	l := c.sh.l
	if d[4] == fecData && c.block.input(d[fecHeader:], uint32(now), false) != nil {
		l.cfg.Stats.malformed.Add(1)
	}
	if l.fec == nil {
		return // what it protects has arrived or is repeated
	}
	if c.fecIn == nil {
		c.fecIn = new(fecDecoder)
	}
	c.fecIn.decode(l.fec, l.mem, d, uint32(now), func(segments []byte) {
		l.cfg.Stats.recovered.Add(1)
		if c.block.input(segments, uint32(now), true) != nil {
			l.cfg.Stats.malformed.Add(1)
		}
	})
}

// end takes a signed datagram about the end of a stream, from wherever it comes.
func (c *conn) end(d []byte, kind byte, from netip.AddrPort, now int64) {
	sh := c.sh
	if c.raw || !signed(d, &c.key, fromClient) {
		sh.l.cfg.Stats.forged.Add(1)
		return
	}
	end := binary.LittleEndian.Uint32(d[8:])
	if kind == ctlEnded {
		whole := d[6]&endWhole != 0
		c.endKnown = c.endKnown || (c.ended || c.closed) && whole == c.closed && end == c.block.sndNxt
		return
	}
	flags := d[6]
	if !c.theirEnded {
		c.theirEnded, c.theirEnd = true, end
	}
	if flags&endWhole != 0 && !c.theirGone {
		c.theirGone, c.closeBy = true, now+lateFor
	}
	p := sh.l.mem.packet(sh.l.crypt.head())
	p.bytes = endMsg(p.bytes, ctlEnded, c.block.conv, flags, end, &c.key, fromServer)
	sh.send(p, from)
}

// stranger takes a datagram whose sender is not known by its address: c is the session with that number, nil if there is none.
func (sh *shard) stranger(c *conn, d []byte, kind byte, from netip.AddrPort, conv uint32, now int64) {
	st := sh.l.cfg.Stats
	if c == nil {
		st.unknown.Add(1)
		if kind == ctlEnd || kind == ctlEnded || kind == ctlProof || !sh.resets.take(now) {
			return
		}
		at := 8
		if kind == 0 && d[4] == fecData {
			at += fecHeader
		}
		echo := d[at : at+8]
		sh.answer(from, func(p []byte) []byte { return resetMsg(p, conv, echo) })
		st.resets.Add(1)
		return
	}
	switch kind {
	case ctlProof:
		token := d[8 : 8+tokenLen]
		if !signed(d, &c.key, fromClient) || !sh.l.mint.proven(token, from, conv) {
			st.badProof.Add(1)
			return
		}
		sh.move(c, from, now)
	case ctlEnd, ctlEnded:
		c.end(d, kind, from, now)
		if !c.dirty {
			c.dirty = true
			sh.dirty = append(sh.dirty, c)
		}
	default:
		st.foreign.Add(1)
		if now-c.challenged < challengePause || !sh.challenges.take(now) {
			return
		}
		c.challenged = now
		token := sh.l.mint.challenge(from, conv)
		sh.answer(from, func(p []byte) []byte { return challengeMsg(p, conv, token) })
		st.challenges.Add(1)
	}
}

// move takes a session to an address that its client has proven.
func (sh *shard) move(c *conn, to netip.AddrPort, now int64) {
	sh.l.moved(c, to)
	c.remote = to
	c.heard = now
	c.block.hurry(uint32(now))
	c.block.urgent = true
	if !c.dirty {
		c.dirty = true
		sh.dirty = append(sh.dirty, c)
	}
	sh.l.cfg.Stats.roams.Add(1)
}

// answer sends a datagram to who is no session.
func (sh *shard) answer(to netip.AddrPort, f func(d []byte) []byte) {
	p := sh.l.mem.packet(sh.l.crypt.head())
	p.bytes = f(p.bytes)
	sh.send(p, to)
}

// rawSession returns the session of a client without a handshake, which begins with its first datagram.
func (sh *shard) rawSession(d []byte, kind byte, from netip.AddrPort, conv uint32, now int64) *conn {
	l := sh.l
	if !l.cfg.Raw || kind != 0 {
		return nil
	}
	key := rawKey{from, conv}
	if c := sh.raw[key]; c != nil {
		return c
	}
	if d[4] == fecData {
		d = d[fecHeader:]
	}
	// A stream begins with data within the window. Everything else belongs to something that is over.
	if d[4] != cmdPush || binary.LittleEndian.Uint32(d[12:]) >= uint32(l.cfg.RcvWnd) {
		return nil
	}
	if why := l.enter(from, true); why != 0 {
		l.cfg.Stats.refused[why].Add(1)
		return nil
	}
	c := sh.newConn(conv, from, now)
	c.raw = true
	if !l.push(c) {
		l.cfg.Stats.refused[refusedBacklog].Add(1)
		l.left(c)
		l.closedBehind()
		return nil
	}
	sh.raw[key] = c
	l.remember(c)
	c.schedule(now)
	return c
}

func (sh *shard) newConn(conv uint32, from netip.AddrPort, now int64) *conn {
	c := &conn{sh: sh, remote: from, heard: now, earlier: now, challenged: now - challengePause}
	c.block.init(conv, sh.l.set, uint32(now))
	return c
}

// hurry makes those sessions come to an end that are closed and still deliver.
func (sh *shard) hurry() {
	sh.mu.Lock()
	defer sh.leave()
	now := sh.now()
	hurry := func(c *conn) {
		if c.closed {
			c.closeBy = min(c.closeBy, now+lingerLast)
			c.schedule(now)
		}
	}
	for _, c := range sh.sessions {
		hurry(c)
	}
	for _, c := range sh.raw {
		hurry(c)
	}
}

// forget takes a session out of the tables.
func (sh *shard) forget(c *conn) {
	if c.raw {
		delete(sh.raw, rawKey{c.remote, c.block.conv})
	} else {
		delete(sh.sessions, c.block.conv)
	}
	sh.l.unremember(c)
	sh.l.left(c)
}
