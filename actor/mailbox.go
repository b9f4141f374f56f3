package actor

import (
	"sync"
	"sync/atomic"
)

// envelope is a message with what the runtime needs to know about it.
type envelope struct {
	msg  any
	from Ref
	req  *request // a request to answer, or for kindAnswer the one that was answered
	kind kind
}

type kind uint8

const (
	kindMessage    kind = iota // for Receive
	kindTraced                 // for Receive, sent within a span; msg is a *traced
	kindTerminated             // for Receive, if the actor still watches
	kindDrain                  // stop when this is reached; msg is the reason, or nil
	kindAnswer                 // a request of ours came back
	kindResume                 // a timer or a call from outside; msg is a *Timer or a *resume
	kindGivenUp                // nobody waits for the answer to req any more
	kindGone                   // a gap where a message was taken out of a bounded mailbox
)

// ordinary messages are refused by an actor that is about to end; others are part of its end.
func (k kind) ordinary() bool { return k <= kindDrain }

// bounded messages are those that a limit counts.
func (k kind) bounded() bool { return k <= kindTraced }

// mailbox is a queue of many writers and one reader, emptied a batch at a time: the reader takes all there is with one lock.
// Messages of the system go ahead of the others and are never refused.
type mailbox struct {
	mu        sync.Mutex
	queue     []envelope // the last messages,
	blocks    *blocks    // those before them
	system    *systemMsgs
	limits    *limits // of a mailbox that is bounded or serial, nil for others; never changes
	scheduled bool    // a worker has, or is about to have, the process
	paused    bool    // a failed actor that waits for its restart; only system messages move
	held      bool    // in quarantine; the same
	state     state
	urgent    atomic.Bool // system is not empty, or the actor has not begun
	warnAt    uint32
	warned    uint32 // the second of the system's time when warnings begin anew; 0 is not known yet
	most      uint32 // messages that waited at once
	taken     uint32 // messages of the batch in hand
	rounds    uint32 // counts batches, for those who look whether the actor is stuck
	processed uint64
	busy      int64 // ns in handlers
}

// newEnvelope is a message that was sent within span, if that is traced.
func newEnvelope(msg any, from Ref, span Span) envelope {
	if span != nil {
		return envelope{kind: kindTraced, msg: &traced{msg, span}, from: from}
	}
	return envelope{msg: msg, from: from}
}

// content is the message as its sender sent it.
func (e *envelope) content() any {
	if e.kind == kindTraced {
		return e.msg.(*traced).msg //nolint:forcetypeassert // what newEnvelope makes
	}
	return e.msg
}

// resting tells whether only messages of the system are handled. The lock is held.
func (m *mailbox) resting() bool { return m.paused || m.held }

type state uint8

const (
	alive    state = iota
	stopping       // no new messages; answers to what the actor asked still come in
	dead
)

const firstWarning = 1024

// post puts e into the mailbox, and tells why it can't: the actor has ended, or is about to and takes no new messages, or has too many.
func (p *process) post(e envelope, w *worker) Code {
	if p.limits != nil {
		return p.postLimited(e, w)
	}
	p.mu.Lock()
	if (p.state != alive || p.paused) && !p.takes(&e) {
		p.mu.Unlock()
		return Stopped
	}
	if p.held && e.kind.ordinary() && p.length() >= maxHeld {
		p.mu.Unlock()
		return Overloaded
	}
	if len(p.queue) == cap(p.queue) {
		p.makeSpace()
	}
	p.queue = append(p.queue, e)
	warn := (len(p.queue) >= firstWarning || p.blocks != nil) && p.length() >= int(p.warnAt)
	if warn {
		p.warnAt *= 2
	}
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
	return 0
}

// takes tells whether a message may come in. The lock is held.
func (p *process) takes(e *envelope) bool {
	switch {
	case p.state != alive:
		return p.state != dead && !e.kind.ordinary()
	case p.paused && e.kind == kindMessage && e.req != nil:
		return !e.req.asker.below(p) // it would wait for the restart, and the restart for it
	}
	return true
}

// below tells whether p is a child of other, or a child's child.
func (p *process) below(other *process) bool {
	for ; p != nil; p = p.parent {
		if p.parent == other {
			return true
		}
	}
	return false
}

// tell gives the process a message of the system, ahead of all others.
func (p *process) tell(m systemMsg) {
	p.mu.Lock()
	if p.state == dead {
		p.mu.Unlock()
		return
	}
	if p.system == nil {
		p.system = &systemMsgs{}
		p.system.list = p.system.first[:0]
	}
	p.system.list = append(p.system.list, m)
	p.urgent.Store(true)
	wake := !p.scheduled
	p.scheduled = true
	p.mu.Unlock()
	if wake {
		p.sys.disp.push(p)
	}
}
