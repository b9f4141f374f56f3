package actor

import (
	"slices"
	"sync"
)

const (
	smallBlock = 4    // envelopes: what an actor that has had messages keeps
	largeBlock = 1024 // lent to those that have more, while they have
)

// largeBlocks lends memory to busy actors, so that idle ones hold little and nobody's queue is ever copied into a larger one.
var largeBlocks = sync.Pool{New: func() any { return new([largeBlock]envelope) }} //nolint:gochecknoglobals // a cache, which nobody can tell from none

// blocks are the first messages of a long queue.
type blocks struct {
	list [][]envelope
	n    int // messages in all
}

// length is how many messages wait, for a mailbox without limits. The lock is held, here and below.
func (m *mailbox) length() int {
	if m.blocks == nil {
		return len(m.queue)
	}
	return len(m.queue) + m.blocks.n
}

// makeSpace is called when queue is full.
func (m *mailbox) makeSpace() {
	if cap(m.queue) == 0 {
		m.queue = make([]envelope, 0, smallBlock)
		return
	}
	large := largeBlocks.Get().(*[largeBlock]envelope) //nolint:forcetypeassert // what the pool makes
	if len(m.queue) >= largeBlock {
		m.addBlock(m.queue, false)
		m.queue = large[:0]
		return
	}
	n := copy(large[:], m.queue)
	clear(m.queue)
	m.queue = large[:n]
}

// addBlock puts messages behind the other blocks, or before all.
func (m *mailbox) addBlock(b []envelope, first bool) {
	if m.blocks == nil {
		m.blocks = &blocks{}
	}
	m.blocks.n += len(b)
	if first {
		m.blocks.list = slices.Insert(m.blocks.list, 0, b)
		return
	}
	m.blocks.list = append(m.blocks.list, b)
}

// takeBlock returns the first messages, and keeps empty as the memory for the next ones if it can use that.
func (m *mailbox) takeBlock(empty []envelope) (block, rest []envelope) {
	b := m.blocks
	if b == nil || b.n == 0 {
		block, m.queue = m.queue, empty
		return block, nil
	}
	block = b.list[0]
	b.list[0] = nil
	b.list = b.list[1:]
	b.n -= len(block)
	if b.n == 0 {
		m.blocks = nil
	}
	return block, empty
}

// keepSmall has an empty mailbox keep a small block and gives back what else there is.
func (m *mailbox) keepSmall(spare []envelope) {
	if cap(m.queue) != smallBlock {
		recycle(m.queue)
		m.queue = nil
		if cap(spare) == smallBlock {
			m.queue = spare[:0]
		}
	}
	recycle(spare)
}

// reusable is the memory of a block that has been handled; nil if it is of no size that is used again.
func reusable(b []envelope) []envelope {
	if cap(b) == smallBlock || cap(b) == largeBlock {
		return b[:0]
	}
	return nil
}

// recycle gives an empty block back, if it is one that was lent.
func recycle(b []envelope) {
	if cap(b) == largeBlock {
		largeBlocks.Put((*[largeBlock]envelope)(b[:largeBlock]))
	}
}
