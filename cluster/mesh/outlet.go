package mesh

import (
	"encoding/binary"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// batchSize is when a batch is full.
	batchSize = 64 << 10
	// pieceSize is how much of a large frame one piece has: two fit into a batch.
	pieceSize = 32<<10 - 128
	// windowBytes and windowBatches are what may be on the way, or not acknowledged.
	windowBytes   = 4 << 20
	windowBatches = 1024
	// slowAt is how much waits to be sent when those who send more are slowed down,
	slowAt = 1 << 20
	// for slowFor at most, as long as the other node takes something.
	slowFor = 20 * time.Millisecond
	// resendAfter is when what is not acknowledged is sent again.
	resendAfter = 200 * time.Millisecond
	// foundAfter is when more is sent again behind what was, and has arrived.
	foundAfter = 3 * ackAfter
)

// outlet is what goes to another node: frames, put together to batches, which are kept until they are acknowledged.
//
// Whoever adds a frame while nothing is on the way publishes it at once. Else the peer's goroutine does, and takes all that there is by then: the more is sent, the larger
// are the batches, and nothing waits for a timer.
type outlet struct {
	p *peer

	crowded atomic.Bool // more than slowAt waits

	mu       sync.Mutex
	link     uint64 // 0 while the node can't be reached
	number   uint64 // of the last batch
	open     *batch // that frames are added to
	ready    []*batch
	sent     []*batch // not acknowledged
	current  *batch   // is being published
	pending  int      // bytes that were not sent
	flight   int      // bytes of sent
	flushing bool     // somebody publishes
	again    bool     // what was sent has to be sent again
	redone   uint64   // the first batch of those that were sent again last
	probing  bool     // only some were, up to
	upto     uint64
	found    bool // they have arrived, and nothing behind them yet
	greets   bool // nothing but a greeting was added to the link
	moved    time.Time
	room     chan struct{} // closed when it is no longer crowded; nil while nobody waits
}

type batch struct{ data []byte }

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var batches = sync.Pool{New: func() any { return &batch{data: make([]byte, 0, batchSize+batchSize/2)} }}

// begin opens a new link. One that is again to the same node begins with a frame that gives up no call: without it the node would hear of the link with the next message only, or not at all if nothing of the
// former one had come, and wait for answers and receipts that were lost.
func (o *outlet) begin(again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	o.link = rand.Uint64() | 1
	o.moved = time.Now()
	if again {
		o.put(append(appendNumber(nil, frameGiveUp, 0), 0), 0)
		o.greets = true
		o.p.poke()
	}
}

// onlyGreets tells whether nothing is lost with the link.
func (o *outlet) onlyGreets() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.greets
}

// end closes the link. What was not sent is lost.
func (o *outlet) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.drop()
	o.link = 0
}

func (o *outlet) drop() {
	o.open, o.ready, o.sent, o.number, o.pending, o.flight, o.again = nil, nil, nil, 0, 0, 0, false
	o.redone, o.probing, o.upto, o.found = 0, false, 0, false
	o.greets = false
	o.makeRoom()
}

// makeRoom lets go on who waits.
func (o *outlet) makeRoom() {
	o.crowded.Store(false)
	if o.room != nil {
		close(o.room)
		o.room = nil
	}
}

// slow waits while too much waits to be sent, if the other node takes something.
func (o *outlet) slow() {
	if !o.crowded.Load() {
		return
	}
	o.mu.Lock()
	if o.pending < slowAt || time.Since(o.moved) > slowFor {
		o.mu.Unlock()
		return
	}
	if o.room == nil {
		o.room = make(chan struct{})
	}
	room := o.room
	o.mu.Unlock()
	wait := time.NewTimer(slowFor)
	defer wait.Stop()
	select {
	case <-room:
	case <-wait.C:
	}
}

// full tells whether nothing more may be sent that can be refused.
func (o *outlet) full() bool {
	if !o.crowded.Load() {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.pending >= o.p.m.cfg.MaxPending
}

// add has a frame sent; false if the node can't be reached. It copies the frame.
func (o *outlet) add(frame []byte) bool {
	o.mu.Lock()
	if o.link == 0 {
		o.mu.Unlock()
		return false
	}
	o.greets = false
	if len(frame) <= batchSize/2 {
		o.put(frame, 0)
	} else {
		o.putPieces(frame)
	}
	if o.pending >= slowAt && !o.crowded.Load() {
		o.crowded.Store(true)
	}
	direct := !o.flushing && len(o.sent) == 0
	more := true
	if direct {
		more = o.flush(1)
	}
	o.mu.Unlock()
	if more {
		o.p.poke()
	} else {
		o.p.arm()
	}
	return true
}

// put adds a frame; with as, that is put before it as its kind.
func (o *outlet) put(frame []byte, as kind) {
	const most = binary.MaxVarintLen32 + 1
	if o.open != nil && len(o.open.data)+len(frame)+most > batchSize {
		o.ready = append(o.ready, o.open)
		o.open = nil
	}
	if o.open == nil {
		o.open = batches.Get().(*batch) //nolint:forcetypeassert // what the pool makes
		o.open.data = o.p.m.newHead(o.open.data[:0])
		o.pending += len(o.open.data)
	}
	before := len(o.open.data)
	if as != 0 {
		o.open.data = append(binary.AppendUvarint(o.open.data, uint64(len(frame)+1)), byte(as))
	} else {
		o.open.data = binary.AppendUvarint(o.open.data, uint64(len(frame)))
	}
	o.open.data = append(o.open.data, frame...)
	o.pending += len(o.open.data) - before
}

// putPieces adds a large frame, cut.
func (o *outlet) putPieces(frame []byte) {
	first := binary.AppendUvarint(make([]byte, 0, pieceSize), uint64(len(frame)))
	n := pieceSize - len(first)
	o.put(append(first, frame[:n]...), framePiece)
	for frame = frame[n:]; len(frame) > pieceSize; frame = frame[pieceSize:] {
		o.put(frame[:pieceSize], framePiece)
	}
	o.put(frame, frameLast)
}

// flush publishes up to limit batches, and tells whether there are more that may go. The lock is held, but not while a batch is published.
func (o *outlet) flush(limit int) (more bool) {
	if o.flushing {
		return false // whoever does it sees what is new
	}
	o.flushing = true
	for ; limit > 0; limit-- {
		b := o.next()
		if b == nil {
			break
		}
		o.number++
		o.sent = append(o.sent, b)
		o.flight += len(b.data)
		o.pending -= len(b.data)
		if len(o.sent) == 1 {
			o.moved = time.Now()
		}
		o.publish(b, o.number)
		if o.pending < slowAt && o.crowded.Load() {
			o.makeRoom()
		}
	}
	o.flushing = false
	return limit == 0 && o.mayGo()
}

func (o *outlet) mayGo() bool {
	return o.link != 0 && (len(o.ready) > 0 || o.open != nil) && o.flight < windowBytes && len(o.sent) < windowBatches
}

// next is the next batch that may go.
func (o *outlet) next() *batch {
	if !o.mayGo() {
		return nil
	}
	if len(o.ready) == 0 {
		b := o.open
		o.open = nil
		return b
	}
	b := o.ready[0]
	o.ready[0] = nil
	o.ready = o.ready[1:]
	return b
}

// publish sends a batch, without the lock meanwhile. When the connection is down, it is sent again later.
func (o *outlet) publish(b *batch, number uint64) (ok bool) {
	ackLink, ack := o.p.in.acknowledge()
	setHead(b.data, o.known(), o.link, number, ackLink, ack)
	o.current = b
	o.mu.Unlock()
	ok = o.p.m.publish(o.p.subject, b.data)
	o.mu.Lock()
	o.current = nil
	return ok
}

// first is the first batch that was not acknowledged.
func (o *outlet) first() uint64 { return o.number - uint64(len(o.sent)) + 1 }

// known is flagKnown if the other node has acknowledged something of this link.
func (o *outlet) known() byte {
	if o.first() > 1 {
		return flagKnown
	}
	return 0
}

// acknowledged takes the other node's word for what it has taken.
func (o *outlet) acknowledged(h *head) (refused string) {
	if h.ackLink == 0 {
		return ""
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if h.ackLink != o.link {
		return "stale_ack"
	}
	left := o.first() - 1
	switch {
	case h.ack > o.number:
		return "forged_ack"
	case h.ack > left:
		for _, b := range o.sent[:h.ack-left] {
			o.flight -= len(b.data)
			if b != o.current && cap(b.data) <= 2*batchSize {
				batches.Put(b)
			}
		}
		n := copy(o.sent, o.sent[h.ack-left:])
		clear(o.sent[n:])
		o.sent = o.sent[:n]
		o.moved = time.Now()
		o.found = o.probing && n > 0 && h.ack == o.upto // what was behind it is lost as well, or comes yet
		o.probing = o.probing && n > 0 && h.ack <= o.upto
		o.again = o.again && n > 0
	}
	// What was behind a gap makes the other node ask more than once, while it is on its way already.
	if first := o.first(); h.flags&flagAgain != 0 && len(o.sent) > 0 && h.ack+1 == first && first != o.redone {
		o.again = true
		o.p.poke()
	} else if o.mayGo() && !o.flushing {
		o.p.poke()
	}
	return ""
}

// serve does what the peer's goroutine is there for: it publishes, and once more what may be lost. It tells for how long nothing was acknowledged, and whether there is something to
// look after.
func (o *outlet) serve(now time.Time, lastTry *time.Time) (silent time.Duration, busy bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.sent) > 0 {
		silent = now.Sub(o.moved)
	}
	late := silent > resendAfter && now.Sub(*lastTry) > resendAfter
	more := o.found && silent > foundAfter
	if (o.again || late || more) && !o.flushing {
		*lastTry = now
		span := uint64(1)
		if more {
			span = 2 * (o.upto - o.redone + 1)
		}
		o.redone = o.first()
		last := o.number
		if o.probing = !o.again; o.probing { // the node may be stuck, or its acknowledgement lost: one batch finds out, and then more
			last = min(o.redone+span-1, o.number)
		}
		o.again, o.found, o.upto = false, false, last
		o.resend(last)
	}
	for o.flush(1 << 20) {
	}
	return silent, len(o.sent) > 0 || o.pending > 0
}

// resend publishes once more what was not acknowledged, in order and up to a batch. The lock is held, but not while a batch is published.
func (o *outlet) resend(last uint64) {
	o.flushing = true
	defer func() { o.flushing = false }()
	link, number := o.link, o.first()
	for ; number <= last && o.link == link; number++ {
		at := int64(number) - int64(o.first())
		if at < 0 {
			continue // acknowledged meanwhile
		}
		o.p.m.metrics.resent.Inc()
		if !o.publish(o.sent[at], number) {
			return
		}
	}
}
