package mesh

import (
	"encoding/binary"
	"fmt"
	"sync"
	"time"
)

const (
	// ackAfter is how long an acknowledgement waits for a batch that it can go with,
	ackAfter = 20 * time.Millisecond
	// unless so many bytes have come meanwhile.
	ackBytes = windowBytes / 4
	// complainEach is how often a gap, or a link that is not known, is told of.
	complainEach = 5 * time.Millisecond
)

// inlet is what comes from another node. Batches are taken in order, once each.
type inlet struct {
	p *peer

	mu         sync.Mutex // of whoever takes a batch
	own        uint64     // the incarnation of this node that batches were sent to
	joining    []byte     // a large frame, as far as it has come
	expects    int        // how long it will be; 0 while there is none
	complained time.Time

	ackMu sync.Mutex
	link  uint64 // the sender's; 0 while there is none
	ended uint64 // the one before it: whoever goes on with it has not heard that it was given up
	taken uint64 // the last batch
	told  uint64 // the last one that was acknowledged
	bytes int    // that have come since
	since time.Time
}

// acknowledge is what the next batch the other way says.
func (in *inlet) acknowledge() (link, number uint64) {
	in.ackMu.Lock()
	defer in.ackMu.Unlock()
	in.told, in.bytes = in.taken, 0
	return in.link, in.taken
}

// owes tells whether an acknowledgement has to go, and whether it has to go now.
func (in *inlet) owes(now time.Time) (owes, urgent bool) {
	in.ackMu.Lock()
	defer in.ackMu.Unlock()
	owes = in.link != 0 && in.told != in.taken
	return owes, owes && (in.bytes >= ackBytes || now.Sub(in.since) >= ackAfter)
}

// reset forgets the sender's link.
func (in *inlet) reset() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.forget(0)
}

// forget begins with another link, or none.
func (in *inlet) forget(link uint64) {
	in.joining, in.expects = nil, 0
	in.ackMu.Lock()
	defer in.ackMu.Unlock()
	if in.link != 0 {
		in.ended = in.link
	}
	in.link, in.taken, in.told, in.bytes = link, 0, 0, 0
}

// verdict is what becomes of a batch.
type verdict uint8

const (
	takeIt   verdict = iota
	again            // there is a gap before it
	twice            // it was taken before
	unknown          // it is of a link that this node does not know
	headless         // it is of a new link, whose first one is missing
	restart          // it is the first of a new link
)

// judge decides about a batch, and notes one that is to be taken.
func (in *inlet) judge(h *head, size int) verdict {
	in.ackMu.Lock()
	defer in.ackMu.Unlock()
	switch {
	case h.link == in.link:
	case h.link == in.ended: // its first batch may come again, and must not be taken for a new link
		return unknown
	case h.number == 1:
		return restart
	case h.flags&flagKnown == 0:
		return headless
	default:
		return unknown
	}
	switch {
	case h.number <= in.taken:
		in.told = 0 // the acknowledgement may be lost: say it again
		return twice
	case h.number != in.taken+1:
		return again
	}
	if in.told == in.taken {
		in.since = time.Now()
	}
	in.taken = h.number
	in.bytes += size
	return takeIt
}

// complains tells whether it is time to tell the other node what is wrong with its link.
func (in *inlet) complains() bool {
	now := time.Now()
	if now.Sub(in.complained) <= complainEach {
		return false
	}
	in.complained = now
	return true
}

// join adds a piece of a large frame, and is the frame when it is complete.
func (in *inlet) join(data []byte, last bool) (frame []byte, err error) {
	if in.expects == 0 {
		n, used := binary.Uvarint(data)
		if used <= 0 || n == 0 || n > uint64(in.p.m.cfg.MaxMessage)+maxFrameHead {
			return nil, fmt.Errorf("%w: a piece of %d bytes", errFrame, n)
		}
		in.expects, data = int(n), data[used:]
		in.joining = make([]byte, 0, min(in.expects, 4*pieceSize))
	}
	if len(in.joining)+len(data) > in.expects || last && len(in.joining)+len(data) < in.expects {
		err = fmt.Errorf("%w: pieces of %d bytes, expected %d", errFrame, len(in.joining)+len(data), in.expects)
		in.joining, in.expects = nil, 0
		return nil, err
	}
	in.joining = append(in.joining, data...)
	if !last {
		return nil, nil
	}
	frame = in.joining
	in.joining, in.expects = nil, 0
	return frame, nil
}

// maxFrameHead is what a frame may have beside its message.
const maxFrameHead = 1 << 10

// knows tells whether that is the link in which the other node sends; 0 is none.
func (in *inlet) knows(link uint64) bool {
	in.ackMu.Lock()
	defer in.ackMu.Unlock()
	return in.link == link
}
