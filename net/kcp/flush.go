package kcp

import "encoding/binary"

// outlet takes a block's datagrams; the KCP ones begin behind the room for headers. The packet is the outlet's.
type outlet interface{ emit(p *packet) }

// writer fills datagrams with segments.
type writer struct {
	b   *block
	out outlet
	p   *packet
	wnd uint16
}

// segment appends one.
func (w *writer) segment(cmd byte, ts, sn uint32, data []byte) {
	set := w.b.set
	if w.p != nil && len(w.p.bytes)+overhead+len(data) > set.head+set.mtu {
		w.flush()
	}
	if w.p == nil {
		w.p = set.mem.packet(set.head)
	}
	var h [overhead]byte
	binary.LittleEndian.PutUint32(h[0:], w.b.conv)
	h[4] = cmd
	binary.LittleEndian.PutUint16(h[6:], w.wnd)
	binary.LittleEndian.PutUint32(h[8:], ts)
	binary.LittleEndian.PutUint32(h[12:], sn)
	binary.LittleEndian.PutUint32(h[16:], w.b.rcvNxt)
	binary.LittleEndian.PutUint32(h[20:], uint32(len(data)))
	w.p.bytes = append(append(w.p.bytes, h[:]...), data...)
}

func (w *writer) flush() {
	if w.p != nil {
		w.out.emit(w.p)
		w.p = nil
	}
}

// flush sends everything that is to be sent now: acknowledgements, questions about the window, what the window has room for, what was lost.
func (b *block) flush(now uint32, out outlet) {
	w := writer{b: b, out: out, wnd: uint16(min(max(0, int(b.set.rcvWnd)-b.rcvQueue.n), 1<<16-1))}
	b.urgent = false
	for i, a := range b.acks {
		// What una covers needs no acknowledgement of its own, but for the newest: it tells the peer the round trip.
		if since(a.sn, b.rcvNxt) >= 0 || i == len(b.acks)-1 {
			w.segment(cmdAck, a.ts, a.sn, nil)
		}
	}
	const kept = 8
	if b.acks = b.acks[:0]; cap(b.acks) > kept {
		b.acks = nil
	}
	b.probe(now, &w)
	window := b.sendWindow()
	fresh := b.fill(now, window)
	switch {
	case b.fast || b.early && since(now, b.earlyAt) >= 0 || b.sndBuf.n > 0 && since(now, b.resendAt) >= 0:
		b.scan(now, window, fresh != nil, &w)
	case fresh != nil:
		for s := fresh; s != nil; s = s.next {
			b.first(s, now, &w)
		}
	}
	if fresh != nil {
		b.repeat(now, fresh.sn, &w)
	}
	w.flush()
}

// probe asks a peer whose window is closed, and answers one that asks for ours.
func (b *block) probe(now uint32, w *writer) {
	switch {
	case b.rmtWnd > 0 || b.sndQueue.n == 0:
		b.probeWait = 0
	case b.probeWait == 0:
		b.probeWait = probeFirst
		b.probeAt = now + b.probeWait
	case since(now, b.probeAt) >= 0:
		b.probeWait = min(b.probeWait+b.probeWait/2, probeLimit)
		b.probeAt = now + b.probeWait
		b.ask = true
	}
	if b.ask {
		w.segment(cmdAsk, 0, 0, nil)
	}
	if b.tell {
		w.segment(cmdTell, 0, 0, nil)
	}
	b.ask, b.tell = false, false
}

func (b *block) sendWindow() uint32 {
	window := min(b.set.sndWnd, b.rmtWnd)
	if b.set.congestion {
		window = min(window, b.cwnd)
	}
	return window
}

// fill moves what the window has room for from the queue, and returns the first of it.
func (b *block) fill(now, window uint32) (fresh *segment) {
	for b.sndQueue.n > 0 && since(b.sndNxt, b.sndUna+window) < 0 {
		s := b.sndQueue.pop()
		s.sn = b.sndNxt
		b.sndNxt++
		if b.sndBuf.n == 0 {
			b.progress = now
			b.resendAt = now + rtoMax
		}
		b.sndBuf.push(s)
		if fresh == nil {
			fresh = s
		}
	}
	return fresh
}

// first sends a segment for the first time.
func (b *block) first(s *segment, now uint32, w *writer) {
	s.rto = b.rto
	s.resend = now + s.rto
	if b.set.nodelay == 0 {
		s.resend += b.rto / 8
	}
	b.transmit(s, now, w)
	if since(s.resend, b.resendAt) < 0 {
		b.resendAt = s.resend
	}
}

func (b *block) transmit(s *segment, now uint32, w *writer) {
	s.xmit++
	s.ts = now
	w.segment(cmdPush, now, s.sn, s.data)
}

// scan looks at all segments that are not acknowledged: which to send again, and when to look next.
func (b *block) scan(now, window uint32, fresh bool, w *writer) {
	early := b.early && since(now, b.earlyAt) >= 0
	b.resendAt = now + rtoMax
	b.fast = false
	if early {
		b.early = false
	}
	var lost, fast uint32
	for s := b.sndBuf.head; s != nil; s = s.next {
		switch {
		case s.xmit == 0:
			b.first(s, now, w)
			continue
		case b.set.resend > 0 && s.skipped > 0 && s.xmit <= fastLimit && (s.skipped >= b.set.resend || early && !fresh):
			fast++
			s.skipped = 0
			s.rto = b.rto
			s.resend = now + s.rto
			b.transmit(s, now, w)
		case since(now, s.resend) >= 0:
			lost++
			s.skipped = 0
			s.rto = b.backoff(s.rto)
			s.resend = now + s.rto
			b.transmit(s, now, w)
			if s.xmit >= deadLink && now-b.progress >= b.set.dead {
				b.dead = true
			}
		}
		if since(s.resend, b.resendAt) < 0 {
			b.resendAt = s.resend
		}
	}
	b.resent += lost + fast
	b.lost += lost
	if b.set.congestion {
		b.shrinkWindow(window, lost, fast)
	}
}

// backoff is how much longer the peer gets each time (ikcp_flush).
func (b *block) backoff(rto uint32) uint32 {
	switch b.set.nodelay {
	case 0:
		rto += max(rto, b.rto)
	case 1:
		rto += rto / 2
	default:
		rto += b.rto / 2
	}
	return min(rto, rtoMax)
}

// shrinkWindow is the congestion window's answer to losses (ikcp_flush): half of what is in flight, or the start when it took a timeout to find out.
func (b *block) shrinkWindow(window, lost, fast uint32) {
	mss := uint32(b.set.mss)
	if fast > 0 {
		b.ssthresh = max((b.sndNxt-b.sndUna)/2, minSsthresh)
		b.cwnd = b.ssthresh + b.set.resend
		b.incr = b.cwnd * mss
	}
	if lost > 0 {
		b.ssthresh = max(window/2, minSsthresh)
		b.cwnd, b.incr = 1, mss
	}
}

// hurry has everything that is not acknowledged sent again at the next flush: the path is a new one.
func (b *block) hurry(now uint32) {
	for s := b.sndBuf.head; s != nil; s = s.next {
		s.resend, s.rto = now, b.rto
	}
	b.resendAt = now
}

// next is in how many milliseconds flush has something to do; false: not before something happens.
func (b *block) next(now uint32) (wait int32, ok bool) {
	at := func(t uint32) {
		if d := max(0, since(t, now)); !ok || d < wait {
			wait, ok = d, true
		}
	}
	if b.urgent {
		at(now)
	}
	if len(b.acks) > 0 {
		at(b.ackAt)
	}
	if b.sndBuf.n > 0 {
		at(b.resendAt)
		if b.early {
			at(b.earlyAt)
		}
	}
	if b.sndQueue.n > 0 {
		switch {
		case b.rmtWnd == 0 && b.probeWait > 0:
			at(b.probeAt)
		case b.rmtWnd == 0 || since(b.sndNxt, b.sndUna+b.sendWindow()) < 0:
			at(now)
		}
	}
	return wait, ok
}
