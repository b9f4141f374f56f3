package kcp

import (
	"net/netip"
	"sync"
)

// A segment is one packet of a stream: waiting to be sent, sent and not acknowledged, or received and not read.
type segment struct {
	next *segment
	data []byte // in room, from where it has not been read
	room []byte

	sn, ts      uint32
	rto, resend uint32 // how long the peer has for its acknowledgement, and when it is sent again
	xmit        uint32 // how often it was sent
	skipped     uint32 // acknowledgements of later segments since
}

// queue is a list of segments.
type queue struct {
	head, tail *segment
	n          int
}

func (q *queue) push(s *segment) {
	s.next = nil
	if q.tail == nil {
		q.head = s
	} else {
		q.tail.next = s
	}
	q.tail = s
	q.n++
}

func (q *queue) pop() *segment {
	s := q.head
	q.head = s.next
	if q.head == nil {
		q.tail = nil
	}
	q.n--
	s.next = nil
	return s
}

// insert puts s behind prev; nil: first.
func (q *queue) insert(prev, s *segment) {
	if prev == nil {
		s.next = q.head
		q.head = s
	} else {
		s.next = prev.next
		prev.next = s
	}
	if s.next == nil {
		q.tail = s
	}
	q.n++
}

// remove takes out what is behind prev; nil: the first.
func (q *queue) remove(prev *segment) *segment {
	if prev == nil {
		return q.pop()
	}
	s := prev.next
	prev.next = s.next
	if s.next == nil {
		q.tail = prev
	}
	q.n--
	s.next = nil
	return s
}

// packet is a datagram on its way out.
type packet struct {
	to    netip.AddrPort
	bytes []byte // in store; the room for the headers of encryption and FEC comes first
	store [packetRoom]byte
}

const (
	// packetRoom holds the largest datagram and what a cipher appends.
	packetRoom = maxMTU + 36
	// smallRoom holds most messages of games, so that what waits for its acknowledgement costs little.
	smallRoom = 256
)

// memory has the pools of one listener: nothing of a session's traffic is kept by an idle session.
type memory struct {
	small, large, packets sync.Pool
}

// segment returns an empty segment with room for size bytes.
func (m *memory) segment(size int) *segment {
	pool, room := &m.small, smallRoom
	if size > smallRoom {
		pool, room = &m.large, maxMTU
	}
	s, _ := pool.Get().(*segment)
	if s == nil {
		s = &segment{room: make([]byte, room)}
	}
	s.data = s.room[:0]
	return s
}

func (m *memory) free(s *segment) {
	pool := &m.small
	if len(s.room) > smallRoom {
		pool = &m.large
	}
	*s = segment{room: s.room}
	pool.Put(s)
}

func (m *memory) freeAll(q *queue) {
	for q.n > 0 {
		m.free(q.pop())
	}
}

// packet returns one whose first head bytes are left for headers.
func (m *memory) packet(head int) *packet {
	p, _ := m.packets.Get().(*packet)
	if p == nil {
		p = new(packet)
	}
	p.bytes = p.store[:head]
	return p
}

func (m *memory) done(p *packet) {
	p.to, p.bytes = netip.AddrPort{}, nil
	m.packets.Put(p)
}
