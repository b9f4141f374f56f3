package actor

import (
	"fmt"
	"slices"
)

// Mailbox bounds the messages that may wait for an actor, those of the runtime and answers to what the actor itself has asked not counted.
type Mailbox struct {
	// Limit is how many messages may wait. 0: as many as come.
	Limit int
	// Policy tells which message has to go when one more comes than Limit.
	Policy Policy
	// Key tells for Latest which messages replace each other; a nil key replaces nothing and is replaced by nothing. It is called by the sender, from any
	// goroutine, and must not block. If it panics, or returns what can't be a map's key, that is logged and the message has none.
	Key func(msg any) any
}

// Policy tells what a full mailbox does. A request that is dropped is answered with ErrOverloaded, whatever the policy.
type Policy uint8

// The policies.
const (
	// Reject refuses the new message: a dead letter, with Overloaded as its reason.
	Reject Policy = iota
	// DropOldest makes room for the new message. What is dropped was meant to be, and is only counted (Info.Dropped), here and for those that follow.
	DropOldest
	// DropNewest drops the new message.
	DropNewest
	// Latest keeps of the messages with one Key only the newest, also when there is room, and puts it behind all others; so each sender's messages stay
	// in order. A full mailbox refuses messages with a new key, as Reject does.
	Latest
)

// limits is the part of a mailbox that is bounded or serial. Such a mailbox is emptied one message at a time, so that what waits is all there is.
// It is guarded by the mailbox's lock.
type limits struct {
	Mailbox
	serial  bool
	head    int    // of queue: what is before has been taken
	count   int    // bounded messages that wait
	gaps    int    // of queue, where messages were taken out
	dropped uint64 // by policy
	aside   []envelope
	asideAt int // of aside, which keeps from a serial actor's queue what must not wait for its turn

	// For Latest. A place is counted from the first message ever; taken is the one of head.
	places map[any]uint64
	keys   []any // of the messages in queue
	taken  uint64
}

func newLimits(s *Spec) *limits {
	if s.Mailbox.Limit <= 0 && !s.Serial {
		return nil
	}
	l := &limits{Mailbox: s.Mailbox, serial: s.Serial}
	if l.Limit > 0 && l.Policy == Latest && l.Key != nil {
		l.places = map[any]uint64{}
	}
	return l
}

// verdict is what a mailbox does with a new message.
type verdict uint8

const (
	take verdict = iota
	drop
	refuse
)

// postLimited is post for a mailbox with limits.
func (p *process) postLimited(e envelope, w *worker) Code {
	l := p.limits
	var key any
	if l.places != nil && e.kind.bounded() {
		key = p.key(&e)
	}
	p.mu.Lock()
	if !p.takes(&e) {
		p.mu.Unlock()
		return Stopped
	}
	var gone envelope
	if e.kind.bounded() && l.Limit > 0 {
		var v verdict
		switch gone, v = p.makeRoom(key); v {
		case refuse:
			p.mu.Unlock()
			return Overloaded
		case drop:
			l.dropped++
			p.mu.Unlock()
			p.tellDropped(e)
			return 0
		case take:
		}
	}
	warn := p.enqueue(e, key)
	wake := !p.scheduled && !p.resting()
	if wake {
		p.scheduled = true
	}
	p.mu.Unlock()
	if wake {
		p.sys.disp.schedule(p, w)
	}
	if warn {
		p.warnOfLength()
	}
	p.tellDropped(gone)
	return 0
}

// key asks for the key of a message.
func (p *process) key(e *envelope) (key any) {
	defer func() {
		if r := recover(); r != nil {
			p.sys.log.Error("no key for a message", "actor", p.name(), "message", typeName(e.content()), "panic", fmt.Sprint(r))
			key = nil
		}
	}()
	key = p.limits.Key(e.content())
	var probe map[any]struct{}
	_ = probe[key] // panics here, and not with the lock held
	return key
}

// enqueue puts e where it belongs and tells whether there are many now.
func (p *process) enqueue(e envelope, key any) (warn bool) {
	l := p.limits
	if l.serial && !e.kind.ordinary() {
		l.aside = append(l.aside, e)
		return false
	}
	p.queue = append(p.queue, e)
	if l.places != nil {
		l.keys = append(l.keys, key)
		if key != nil {
			l.places[key] = l.taken + uint64(len(p.queue)-1-l.head)
		}
	}
	if !e.kind.bounded() {
		return false
	}
	l.count++
	p.most = max(p.most, uint32(l.count))
	warn = l.Limit == 0 && l.count >= int(p.warnAt)
	if warn {
		p.warnAt *= 2
	}
	return warn
}

// makeRoom tells what becomes of a new message, and which one has to go for it.
func (p *process) makeRoom(key any) (gone envelope, v verdict) {
	l := p.limits
	if key != nil {
		if at, waits := l.places[key]; waits {
			return p.takeOut(l.head + int(at-l.taken)), take
		}
	}
	if l.count < l.Limit {
		return envelope{}, take
	}
	switch l.Policy {
	case DropOldest:
		p.passGaps()
		for i := l.head; i < len(p.queue); i++ {
			if p.queue[i].kind.bounded() {
				return p.takeOut(i), take
			}
		}
	case DropNewest:
		return envelope{}, drop
	case Reject, Latest:
	}
	return envelope{}, refuse
}

// passGaps moves the head to a message, so that who drops the oldest finds it there.
func (p *process) passGaps() {
	l := p.limits
	for l.head < len(p.queue) && p.queue[l.head].kind == kindGone {
		l.head++
		l.taken++
		l.gaps--
	}
	if l.head > 64 && l.head > len(p.queue)/2 {
		p.closeUp()
	}
}

// takeOut leaves a gap, which pop passes over.
func (p *process) takeOut(i int) envelope {
	l := p.limits
	e := p.queue[i]
	p.queue[i] = envelope{kind: kindGone}
	l.count--
	l.dropped++
	if l.gaps++; l.gaps > l.Limit+64 {
		p.closeGaps()
	}
	return e
}

// closeGaps removes all gaps. They are many, so each costs little.
func (p *process) closeGaps() {
	l := p.limits
	n := 0
	for i := l.head; i < len(p.queue); i++ {
		if p.queue[i].kind == kindGone {
			continue
		}
		p.queue[n] = p.queue[i]
		if l.places != nil {
			l.keys[n] = l.keys[i]
			if key := l.keys[n]; key != nil {
				l.places[key] = uint64(n)
			}
		}
		n++
	}
	clear(p.queue[n:])
	p.queue = p.queue[:n]
	if l.places != nil {
		clear(l.keys[n:])
		l.keys = l.keys[:n]
	}
	l.head, l.taken, l.gaps = 0, 0, 0
}

// tellDropped answers whoever asked.
func (p *process) tellDropped(e envelope) {
	if e.req != nil {
		e.req.answer(nil, &Error{Code: Overloaded, Actor: p.name(), Text: "dropped from a full mailbox"})
	}
}

// pop takes the next message that may be handled. The lock is held; waits tells that the actor has not finished its last message.
func (p *process) pop(waits bool) (envelope, bool) {
	l := p.limits
	if l.asideAt < len(l.aside) {
		e := l.aside[l.asideAt]
		l.aside[l.asideAt] = envelope{}
		if l.asideAt++; l.asideAt == len(l.aside) {
			l.aside, l.asideAt = l.aside[:0], 0
		}
		return e, true
	}
	for !waits && l.head < len(p.queue) {
		e := p.queue[l.head]
		p.queue[l.head] = envelope{}
		if l.places != nil {
			if key := l.keys[l.head]; key != nil && l.places[key] == l.taken {
				delete(l.places, key)
			}
			l.keys[l.head] = nil
		}
		l.head++
		l.taken++
		if l.head > 64 && l.head > len(p.queue)/2 {
			p.closeUp()
		}
		if e.kind == kindGone {
			l.gaps--
			continue
		}
		if e.kind.bounded() {
			l.count--
		}
		return e, true
	}
	if l.head == len(p.queue) {
		p.closeUp()
	}
	return envelope{}, false
}

// putBack puts a message that was taken before all others again.
func (p *process) putBack(e envelope) {
	l := p.limits
	if l.serial && !e.kind.ordinary() {
		l.aside = slices.Insert(l.aside, l.asideAt, e)
		return
	}
	if l.head > 0 {
		l.head--
		p.queue[l.head] = e
	} else {
		p.queue = slices.Insert(p.queue, 0, e)
		if l.places != nil {
			l.keys = slices.Insert(l.keys, 0, any(nil))
		}
	}
	l.taken-- // may be less than nothing; places are compared only
	if e.kind.bounded() {
		l.count++
	}
}

// closeUp moves what waits to the beginning of the queue.
func (p *process) closeUp() {
	l := p.limits
	p.queue = slices.Delete(p.queue, 0, l.head)
	if l.places != nil {
		l.keys = slices.Delete(l.keys, 0, l.head)
	}
	l.head = 0
}

// waiting takes out everything that waits.
func (p *process) waiting() []envelope {
	q := p.queue
	if b := p.blocks; b != nil {
		q = append(slices.Concat(b.list...), q...)
	}
	p.queue, p.blocks = nil, nil
	if l := p.limits; l != nil {
		q = append(slices.Clone(l.aside[l.asideAt:]), q[l.head:]...)
		q = slices.DeleteFunc(q, func(e envelope) bool { return e.kind == kindGone })
		p.limits.clear()
	}
	return q
}

func (l *limits) clear() {
	l.aside, l.asideAt, l.keys, l.head, l.count, l.gaps, l.taken = nil, 0, nil, 0, 0, 0, 0
	clear(l.places)
}
