package kcp

import (
	"encoding/binary"
	"errors"
)

// The protocol: github.com/skywind3000/kcp, protocol.txt and ikcp.c. Integers are little-endian. A datagram is a run of segments, each
//
//	0      4    5    6      8     12     16     20     24
//	| conv | cmd | frg | wnd | ts | sn | una | len | data ...
const (
	cmdPush = 81 // data
	cmdAck  = 82 // sn has arrived; ts is that of the data
	cmdAsk  = 83 // how large is your window?
	cmdTell = 84 // it is wnd

	overhead = 24

	rtoNoDelay = 30 // milliseconds; the least time that a peer has to acknowledge
	rtoMin     = 100
	rtoDefault = 200
	rtoMax     = 60_000

	deadLink    = 20 // transmissions of one segment
	fastLimit   = 5  // of them that come from skipped acknowledgements
	minSsthresh = 2
	probeFirst  = 500
	probeLimit  = 10_000 // the reference waits for up to two minutes, which no player does
	maxRTT      = 60_000 // what is measured beyond is a lie
)

var (
	errConv  = errors.New("kcp: segment of another conversation")
	errShort = errors.New("kcp: segment cut off")
	errCmd   = errors.New("kcp: unknown command")
)

// settings are what all blocks of a listener share.
type settings struct {
	nodelay        int
	interval       uint32
	resend         uint32 // 0: never
	congestion     bool   // heed the congestion window
	minRTO         uint32
	sndWnd, rcvWnd uint32
	mtu, mss, head int // mtu without the headers around KCP, which take head bytes
	ackNoDelay     bool
	repeat         bool
	dead           uint32 // milliseconds without any progress, after which deadLink counts
	mem            *memory
}

func newSettings(cfg Config, mem *memory, head, around int) *settings {
	s := &settings{
		nodelay: cfg.NoDelay, interval: uint32(cfg.Interval), resend: uint32(cfg.Resend), congestion: cfg.NC == 0, minRTO: rtoMin,
		sndWnd: uint32(cfg.SndWnd), rcvWnd: uint32(cfg.RcvWnd), mtu: cfg.MTU - around, mss: cfg.MTU - around - overhead, head: head,
		ackNoDelay: cfg.AckNoDelay, repeat: cfg.Repeat, dead: uint32(cfg.Silence.Milliseconds()), mem: mem,
	}
	if s.nodelay > 0 {
		s.minRTO = rtoNoDelay
	}
	return s
}

// block is the control block of one conversation: the protocol without sockets, clocks, locks and timers. Time is in milliseconds and wraps.
// Its streams have no message boundaries: it reads what arrives in order, whatever the fragments say, and sends each segment as a whole message.
type block struct {
	conv uint32
	set  *settings

	sndUna, sndNxt, rcvNxt uint32
	rmtWnd                 uint32
	srtt, rttvar           int32
	rto                    uint32
	ssthresh, cwnd, incr   uint32

	sndQueue, sndBuf queue // not sent yet; sent and not acknowledged
	rcvQueue, rcvBuf queue // in order; behind a gap

	acks      []ack
	ackAt     uint32 // when they go out at the latest
	resendAt  uint32 // no segment is to be sent again before
	earlyAt   uint32 // when an early retransmission is due, if early
	progress  uint32 // when the peer acknowledged something last, or had nothing to
	probeAt   uint32
	probeWait uint32 // 0: the peer's window is open
	ask, tell bool
	fast      bool // a segment was skipped often enough
	early     bool // one was skipped at all
	urgent    bool // what input found out must not wait
	dead      bool // the peer does not acknowledge

	repeatFrom uint32 // the first segment that was new when the last new ones were sent

	resent, lost, repeated uint32 // segments sent again, and of them those that timed out; those repeated in time; the owner takes them away
}

type ack struct{ sn, ts uint32 }

func (b *block) init(conv uint32, set *settings, now uint32) {
	*b = block{conv: conv, set: set, rmtWnd: set.rcvWnd, rto: rtoDefault, ssthresh: minSsthresh, cwnd: 1, incr: uint32(set.mss), progress: now}
}

// since is a - b on a clock or in numbers that wrap.
func since(a, b uint32) int32 { return int32(a - b) }

// input takes the segments of a datagram. recovered says that FEC made it, so that what it says of windows and time is old. Segments before
// one that is wrong count.
func (b *block) input(data []byte, now uint32, recovered bool) error {
	if len(data) < overhead {
		return errShort
	}
	una := b.sndUna
	var newest ack
	acked := false
	var err error
	for len(data) >= overhead {
		if binary.LittleEndian.Uint32(data) != b.conv {
			err = errConv
			break
		}
		cmd, wnd := data[4], binary.LittleEndian.Uint16(data[6:])
		ts, sn := binary.LittleEndian.Uint32(data[8:]), binary.LittleEndian.Uint32(data[12:])
		theirUna, length := binary.LittleEndian.Uint32(data[16:]), binary.LittleEndian.Uint32(data[20:])
		data = data[overhead:]
		if uint64(length) > uint64(len(data)) {
			err = errShort
			break
		}
		if cmd < cmdPush || cmd > cmdTell {
			err = errCmd
			break
		}
		if !recovered {
			b.window(uint32(wnd))
		}
		b.acknowledgedUpTo(theirUna)
		switch cmd {
		case cmdPush:
			b.push(sn, ts, data[:length], now)
		case cmdAck:
			b.acknowledged(sn)
			if !acked || since(sn, newest.sn) > 0 {
				newest, acked = ack{sn, ts}, true
			}
		case cmdAsk:
			b.tell, b.urgent = true, true
		}
		data = data[length:]
	}
	if acked {
		b.skip(newest, now)
		if rtt := since(now, newest.ts); !recovered && rtt >= 0 {
			b.measured(min(rtt, maxRTT))
		}
	}
	if since(b.sndUna, una) > 0 {
		b.progress = now
		b.grow()
		b.urgent = b.urgent || b.sndQueue.n > 0
	}
	if len(b.acks) >= b.set.mtu/overhead || b.set.ackNoDelay && len(b.acks) > 0 {
		b.urgent = true
	}
	return err
}

func (b *block) window(wnd uint32) {
	if b.rmtWnd == 0 && wnd > 0 {
		b.probeWait = 0
		b.urgent = b.urgent || b.sndQueue.n > 0
	}
	b.rmtWnd = wnd
}

// push takes a segment of the peer's data.
func (b *block) push(sn, ts uint32, data []byte, now uint32) {
	ahead := since(sn, b.rcvNxt)
	if ahead >= int32(b.set.rcvWnd) {
		return // no room: the peer has ignored the window
	}
	if len(b.acks) == 0 {
		b.ackAt = now + b.set.interval
	}
	b.acks = append(b.acks, ack{sn, ts})
	if ahead < 0 || len(data) > maxMTU {
		return
	}
	var prev *segment
	if last := b.rcvBuf.tail; last != nil && since(sn, last.sn) > 0 {
		prev = last
	} else {
		for s := b.rcvBuf.head; s != nil && since(s.sn, sn) <= 0; s = s.next {
			if s.sn == sn {
				return
			}
			prev = s
		}
	}
	s := b.set.mem.segment(len(data))
	s.sn = sn
	s.data = append(s.data, data...)
	b.rcvBuf.insert(prev, s)
	b.order()
}

// order moves to the queue what is in order by now.
func (b *block) order() {
	for b.rcvBuf.n > 0 && b.rcvBuf.head.sn == b.rcvNxt && b.rcvQueue.n < int(b.set.rcvWnd) {
		s := b.rcvBuf.pop()
		b.rcvNxt++
		if len(s.data) == 0 {
			b.set.mem.free(s)
			continue
		}
		b.rcvQueue.push(s)
	}
}

// acknowledgedUpTo drops what the peer has received without a gap.
func (b *block) acknowledgedUpTo(una uint32) {
	for b.sndBuf.n > 0 && since(una, b.sndBuf.head.sn) > 0 {
		b.set.mem.free(b.sndBuf.pop())
	}
	b.shrink()
}

func (b *block) shrink() {
	b.sndUna = b.sndNxt
	if b.sndBuf.n > 0 {
		b.sndUna = b.sndBuf.head.sn
	}
}

func (b *block) acknowledged(sn uint32) {
	if since(sn, b.sndUna) < 0 || since(sn, b.sndNxt) >= 0 {
		return
	}
	var prev *segment
	for s := b.sndBuf.head; s != nil && since(s.sn, sn) <= 0; prev, s = s, s.next {
		if s.sn == sn {
			b.set.mem.free(b.sndBuf.remove(prev))
			break
		}
	}
	b.shrink()
}

// skip counts an acknowledgement against the earlier segments that were sent no later.
func (b *block) skip(a ack, now uint32) {
	if b.set.resend == 0 || since(a.sn, b.sndNxt) >= 0 {
		return
	}
	for s := b.sndBuf.head; s != nil && since(s.sn, a.sn) < 0; s = s.next {
		if since(s.ts, a.ts) > 0 {
			continue
		}
		s.skipped++
		if s.skipped >= b.set.resend && s.xmit <= fastLimit {
			b.fast, b.urgent = true, true
		} else if !b.early {
			b.early, b.earlyAt = true, now+b.set.interval
		}
	}
}

// measured takes a round trip into the timeout (RFC 6298; the smaller weight of what is unusually quick is kcp-go's).
func (b *block) measured(rtt int32) {
	if b.srtt == 0 {
		b.srtt, b.rttvar = rtt, rtt/2
	} else {
		delta := rtt - b.srtt
		b.srtt = max(b.srtt+delta/8, 1)
		if delta < 0 {
			delta = -delta
		}
		weight := int32(4)
		if rtt < b.srtt-b.rttvar {
			weight = 32
		}
		b.rttvar += (delta - b.rttvar) / weight
	}
	rto := uint32(b.srtt) + max(b.set.interval, 4*uint32(b.rttvar))
	b.rto = min(max(b.set.minRTO, rto), rtoMax)
}

// grow opens the congestion window (ikcp_input).
func (b *block) grow() {
	if !b.set.congestion || b.cwnd >= b.rmtWnd {
		return
	}
	mss := uint32(b.set.mss)
	if b.cwnd < b.ssthresh {
		b.cwnd++
		b.incr += mss
	} else {
		b.incr = max(b.incr, mss)
		b.incr += mss*mss/b.incr + mss/16
		if (b.cwnd+1)*mss <= b.incr {
			b.cwnd = (b.incr + mss - 1) / mss
		}
	}
	if b.cwnd > b.rmtWnd {
		b.cwnd, b.incr = b.rmtWnd, b.rmtWnd*mss
	}
}

// readable says whether read has something.
func (b *block) readable() bool { return b.rcvQueue.n > 0 }

// read copies what is in order; 0: nothing is.
func (b *block) read(p []byte) int {
	if b.rcvQueue.n == 0 {
		return 0
	}
	full := b.rcvQueue.n >= int(b.set.rcvWnd)
	n := 0
	for n < len(p) && b.rcvQueue.n > 0 {
		s := b.rcvQueue.head
		took := copy(p[n:], s.data)
		n += took
		if s.data = s.data[took:]; len(s.data) == 0 {
			b.set.mem.free(b.rcvQueue.pop())
		}
	}
	b.order()
	if full && b.rcvQueue.n < int(b.set.rcvWnd) {
		b.tell, b.urgent = true, true // the peer has stopped, and must learn that there is room again
	}
	return n
}

// room is how many bytes write takes now.
func (b *block) room() int {
	return max(0, int(b.set.sndWnd)-b.waiting()) * b.set.mss
}

// waiting is how many segments are not acknowledged.
func (b *block) waiting() int { return b.sndQueue.n + b.sndBuf.n }

// write queues p, which is no longer than room, and fills up the last segment that was not sent.
func (b *block) write(p []byte) {
	if s := b.sndQueue.tail; s != nil && len(s.data) < len(s.room) && len(s.data) < b.set.mss {
		n := min(len(p), min(len(s.room), b.set.mss)-len(s.data))
		s.data = append(s.data, p[:n]...)
		p = p[n:]
	}
	for len(p) > 0 {
		n := min(len(p), b.set.mss)
		s := b.set.mem.segment(n)
		s.data = append(s.data, p[:n]...)
		b.sndQueue.push(s)
		p = p[n:]
	}
}

// release frees all memory. The block is not used any more.
func (b *block) release() {
	for _, q := range []*queue{&b.sndQueue, &b.sndBuf, &b.rcvQueue, &b.rcvBuf} {
		b.set.mem.freeAll(q)
	}
	b.acks = nil
}
