package gate

import (
	"fmt"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// inbound is a client's request or notify: on its way to the session's actor, in the session's queue, and while it is handled.
type inbound struct {
	typ   packet.MessageType
	id    uint64
	route string
	body  []byte
	fast  bool // it came faster than its route allows
	came  time.Time

	next *inbound // in the queue

	// Of the session's actor.
	arrived bool
	span    actor.Span // which ends with the answer; nil when it is not traced
}

// inbounds lends messages, so that one costs no memory but once.
var inbounds = sync.Pool{New: func() any { return new(inbound) }} //nolint:gochecknoglobals // a cache

// keptBody is the largest buffer of a body that is kept for the next.
const keptBody = 4 << 10

func newInbound(m *packet.Message) *inbound {
	in := inbounds.Get().(*inbound) //nolint:forcetypeassert // what the pool makes
	in.typ, in.id, in.route = m.Type, m.ID, m.Route
	in.body = append(in.body[:0], m.Body...)
	in.came = time.Now()
	return in
}

// release gives a message back that nobody uses any more.
func (m *inbound) release() {
	body := m.body[:0]
	if cap(body) > keptBody {
		body = nil
	}
	*m = inbound{body: body}
	inbounds.Put(m)
}

// maxName bounds the part of a message's type that a client has chosen.
const maxName = 64

// MessageType is what logs and traces call it.
func (m *inbound) MessageType() string {
	return m.typ.String() + " " + m.route[:min(len(m.route), maxName)]
}

// MessageRoute is by what traces choose it.
func (m *inbound) MessageRoute() string { return m.route }

// Awaited tells whether the client waits for an answer.
func (m *inbound) Awaited() bool { return m.typ == packet.Request }

// Expendable: a request that comes while its session ends is answered by the end of the connection.
func (*inbound) Expendable() {}

// size is what the message takes, roughly.
func (m *inbound) size() int { return len(m.route) + len(m.body) + 64 }

// maxQueued is how many bytes of unanswered requests a session may have, if only a package of the longest kind fits in.
const maxQueued = 1 << 20

// queue has the messages that wait for earlier ones, in the order of their numbers. The session's lock guards it.
type queue struct {
	head, tail *inbound
	open       int // messages that are not answered, the one that is handled among them,
	bytes      int // and what they take
}

// receive takes a message from a connection: from here on it counts as received. It fails when the connection is not the session's any more, or
// when too many messages wait.
func (s *Session) receive(l *link, m *inbound) error {
	cfg := &s.gate.cfg
	var now time.Time
	rate := s.gate.rates.find(m.route)
	if rate != nil {
		now = s.gate.sys.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.link != l {
		return errTaken
	}
	q := &s.state.queue
	switch {
	case q.open >= cfg.MaxQueue:
		return &refusal{packet.Reason{Code: kickTooManyRequests, Msg: fmt.Sprintf("more than %d requests wait for an answer", cfg.MaxQueue)}}
	case q.bytes+m.size() > s.gate.maxQueued:
		return &refusal{packet.Reason{Code: kickTooManyRequests, Msg: fmt.Sprintf("more than %d bytes of requests wait for an answer", s.gate.maxQueued)}}
	}
	if rate != nil {
		m.fast = !s.state.spend(rate, now)
	}
	s.state.received++
	q.open++
	q.bytes += m.size()
	if q.tail == nil {
		q.head = m
	} else {
		q.tail.next = m
	}
	q.tail = m
	return nil
}

// take gives the oldest message that waits, if its turn has come: the actor may have been sent a later one first, when a connection was changed meanwhile.
func (s *Session) take() *inbound {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := &s.state.queue
	m := q.head
	if m == nil || !m.arrived || s.stage >= leaving {
		return nil
	}
	if q.head = m.next; q.head == nil {
		q.tail = nil
	}
	m.next = nil
	return m
}

// answered makes room for the next message.
func (q *queue) answered(m *inbound) {
	q.open--
	q.bytes -= m.size()
}

// count is how many data packages of the client have been received.
func (s *Session) count() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.received
}

// clear takes all messages out that wait.
func (s *Session) clear() (dropped []*inbound) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for m := s.state.queue.head; m != nil; m = m.next {
		dropped = append(dropped, m)
	}
	s.state.queue = queue{}
	return dropped
}
