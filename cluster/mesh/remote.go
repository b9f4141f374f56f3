package mesh

import (
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/skua-go/skua/actor"
)

//nolint:gochecknoglobals // a cache, which no caller can tell from none
var scratches = sync.Pool{New: func() any { return new(scratch) }}

// scratch is where a frame is written.
type scratch struct{ data []byte }

func (s *scratch) free() {
	if cap(s.data) <= batchSize {
		s.data = s.data[:0]
		scratches.Put(s)
	}
}

func appendNumber(dst []byte, k kind, number uint64) []byte {
	return binary.AppendUvarint(append(dst, byte(k)), number)
}

// Send hands a message over, see actor.Remote.
func (p *peer) Send(to, from actor.Ref, msg any, span actor.Span) actor.Code {
	if !p.up.Load() {
		return actor.Unreachable
	}
	p.out.slow()
	if p.chokes.refuses(to) || p.out.full() {
		p.m.metrics.overloaded.Inc()
		return actor.Overloaded
	}
	s := scratches.Get().(*scratch) //nolint:forcetypeassert // what the pool makes
	defer s.free()
	frame, err := p.appendSend(s.data, to, from, msg, span)
	s.data = frame[:0]
	if err == nil && len(frame) > p.m.cfg.MaxMessage {
		err = p.m.tooLarge(len(frame))
	}
	if err != nil {
		p.m.logUnsendable(to, err)
		return actor.Refused
	}
	if !p.out.add(frame) {
		return actor.Unreachable
	}
	return 0
}

// Ask hands a request over, see actor.Remote.
func (p *peer) Ask(to, from actor.Ref, msg any, q actor.Question) (call uint64) {
	if !p.up.Load() {
		q.Reply(nil, p.outOfReach(to))
		return 0
	}
	p.out.slow()
	if p.chokes.refuses(to) || p.out.full() {
		p.m.metrics.overloaded.Inc()
		q.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: to.String(), Text: "too much is on the way there"})
		return 0
	}
	if call = p.calls.add(q.Promise); call == 0 {
		p.m.metrics.overloaded.Inc()
		q.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: to.String(), Text: "too many requests wait for the node"})
		return 0
	}
	s := scratches.Get().(*scratch) //nolint:forcetypeassert // what the pool makes
	defer s.free()
	frame, err := p.appendAsk(s.data, call, to, from, msg, q)
	s.data = frame[:0]
	if err == nil && len(frame) > p.m.cfg.MaxMessage {
		err = p.m.tooLarge(len(frame))
	}
	if err != nil {
		p.fail(call, p.m.unsendable(to, err))
		return 0
	}
	if !p.out.add(frame) {
		p.fail(call, p.outOfReach(to))
		return 0
	}
	return call
}

// fail ends a call that was not sent.
func (p *peer) fail(call uint64, err error) {
	if who := p.calls.take(call); who != nil {
		who.Reply(nil, err)
	}
}

func (p *peer) outOfReach(to actor.Ref) error {
	return &actor.Error{Code: actor.Unreachable, Actor: to.String()}
}

// GiveUp forgets a call, see actor.Remote.
func (p *peer) GiveUp(_ actor.Ref, call uint64, expired bool) {
	if p.calls.take(call) == nil {
		return
	}
	frame := appendNumber(make([]byte, 0, 16), frameGiveUp, call)
	if expired {
		frame = append(frame, 1)
	} else {
		frame = append(frame, 0)
	}
	p.out.add(frame)
}

// Watch tells the watcher of the target's end, see actor.Remote.
func (p *peer) Watch(watcher, target actor.Ref) {
	p.watched.add(watcher, target)
}

// Unwatch takes Watch back, see actor.Remote.
func (p *peer) Unwatch(watcher, target actor.Ref) { p.watched.remove(watcher, target) }

// Order has an actor stopped, killed or drained, see actor.Remote.
func (p *peer) Order(to, from actor.Ref, o actor.Order) {
	p.out.add(p.appendOrder(nil, to, from, o))
}

func (m *Mesh) tooLarge(n int) error {
	return fmt.Errorf("it has %d bytes, the limit is %d", n, m.cfg.MaxMessage)
}

// unsendable is why a message has no form outside of this process.
func (m *Mesh) unsendable(to actor.Ref, err error) error {
	m.metrics.unsendable.Inc()
	return &actor.Error{Code: actor.Refused, Actor: to.String(), Text: "the message can't go to another node: " + err.Error()}
}

// logUnsendable is unsendable for a sender who does not wait for an answer.
func (m *Mesh) logUnsendable(to actor.Ref, err error) {
	m.metrics.unsendable.Inc()
	if m.mayLog() {
		m.log.Warn("cluster: a message can't go to another node", "to", to.String(), "error", err)
	}
}
