package kcp

import (
	"encoding/binary"
	"time"
)

// With Config.Repeat each datagram with new data also carries, as far as they fit, the small segments that were new in the one before it and that are not known
// to have arrived. A loss then costs a player the time to the next message instead of a timeout, and no datagram more. Receivers drop what they have by its
// number, so every KCP understands it.
const (
	// repeatMost is the longest data of a segment that is repeated.
	repeatMost = 256
	// repeatWithin is how many milliseconds after it was sent a segment is still repeated: later a timeout has seen to it.
	repeatWithin = 200
)

// repeat fills up the datagram that new segments are in; the first of them is fresh. Each segment is looked at once, with those that are new behind it.
func (b *block) repeat(now, fresh uint32, w *writer) {
	from := b.repeatFrom
	b.repeatFrom = fresh
	if !b.set.repeat || w.p == nil {
		return
	}
	for s := b.sndBuf.head; s != nil && since(s.sn, fresh) < 0; s = s.next {
		switch {
		case since(s.sn, from) < 0, s.xmit != 1, len(s.data) > repeatMost, now-s.ts > repeatWithin:
		case len(w.p.bytes)+overhead+len(s.data) > b.set.head+b.set.mtu:
			return
		default:
			w.segment(cmdPush, now, s.sn, s.data) // s.ts stays: a timeout comes when it would have come
			b.repeated++
		}
	}
}

// repeater does the same for a client, whose datagrams are kcp-go's.
type repeater struct {
	mtu  int
	next uint32 // number of the next segment that is new
	kept []byte // the small segments that were new in the datagram that had new ones last
	at   time.Time
}

// follow looks at the segments of a datagram that is about to leave, and returns what is to be appended to it, in dst; una is the number up to which the server
// has everything.
func (r *repeater) follow(dst, d []byte, una uint32, now time.Time) []byte {
	var head []byte // of the newest segment
	fresh := len(r.kept)
	for rest := d; len(rest) >= overhead; {
		n := overhead + int(binary.LittleEndian.Uint32(rest[20:]))
		if n > len(rest) {
			break // nothing that kcp-go sends
		}
		if sn := binary.LittleEndian.Uint32(rest[12:]); rest[4] == cmdPush && since(sn, r.next) >= 0 {
			r.next, head = sn+1, rest[:overhead]
			if n <= overhead+repeatMost {
				r.kept = append(r.kept, rest[:n]...)
			}
		}
		rest = rest[n:]
	}
	if head == nil {
		return dst
	}
	if now.Sub(r.at) <= repeatWithin*time.Millisecond {
		dst = r.repeat(dst, r.kept[:fresh], head, r.mtu-len(d), una)
	}
	r.kept, r.at = append(r.kept[:0], r.kept[fresh:]...), now
	return dst
}

// repeat appends segments for which there is room, with the time, the window and the acknowledgement of head.
func (r *repeater) repeat(dst, segments, head []byte, room int, una uint32) []byte {
	for len(segments) > 0 {
		n := overhead + int(binary.LittleEndian.Uint32(segments[20:]))
		s := segments[:n]
		segments = segments[n:]
		if since(binary.LittleEndian.Uint32(s[12:]), una) < 0 || n > room {
			continue
		}
		room -= n
		at := len(dst)
		dst = append(dst, s...)
		copy(dst[at+6:at+12], head[6:12])
		copy(dst[at+16:at+20], head[16:20])
	}
	return dst
}
