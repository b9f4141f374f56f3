package gate

import "sync"

// ring keeps data packages that a client has not acknowledged, in the order sent. Frames are shared: one that many sessions were pushed is in memory once.
// The zero ring is empty and holds nothing.
type ring struct {
	head, tail *ringBlock
	from, to   int // in head and in tail
	count      int
	bytes      int
}

// ringBlock is a piece of a ring. Blocks are lent, so that one that is full and acknowledged again and again costs no memory of its own.
type ringBlock struct {
	frames [ringBlockSize][]byte
	next   *ringBlock
}

const ringBlockSize = 16

var ringBlocks = sync.Pool{New: func() any { return new(ringBlock) }} //nolint:gochecknoglobals // a cache

// push appends a frame, whose bytes nobody may change from now on.
func (r *ring) push(frame []byte) {
	if r.tail == nil || r.to == ringBlockSize {
		b := ringBlocks.Get().(*ringBlock) //nolint:forcetypeassert // what the pool makes
		if r.tail == nil {
			r.head, r.from = b, 0
		} else {
			r.tail.next = b
		}
		r.tail, r.to = b, 0
	}
	r.tail.frames[r.to] = frame
	r.to++
	r.count++
	r.bytes += len(frame)
}

// drop forgets the n oldest frames.
func (r *ring) drop(n int) {
	for range n {
		frame := &r.head.frames[r.from]
		r.bytes -= len(*frame)
		*frame = nil
		r.from++
		r.count--
		if r.from == ringBlockSize || r.count == 0 {
			r.free()
		}
	}
}

// free gives the first block back, which holds nothing any more.
func (r *ring) free() {
	b := r.head
	r.head, r.from = b.next, 0
	if r.head == nil {
		r.tail, r.to = nil, 0
	}
	b.next = nil
	ringBlocks.Put(b)
}

// all calls yield with each frame, oldest first.
func (r *ring) all(yield func([]byte) bool) {
	b, at := r.head, r.from
	for range r.count {
		if at == ringBlockSize {
			b, at = b.next, 0
		}
		if !yield(b.frames[at]) {
			return
		}
		at++
	}
}
