package actor

import (
	"sync/atomic"
)

// request is one question on its way: who asked, what to do with the answer, and until when. It is answered at most once, by whoever
// comes first: the handler, its deadline, or the end of the actor that was asked.
type request struct {
	timerNode
	sys    *System
	asker  *process // nil when the question came from outside of all actors
	life   uint32   // the asker's incarnation; a restarted actor does not get its predecessor's answers
	then   func(any, error)
	in     frame // the message that the asker was handling
	to     Ref
	callee *process
	state  atomic.Uint32
	moved  bool  // forwarded: whoever handled it before has nothing to do with it any more
	hops   uint8 // how often it has been forwarded

	value any
	err   error

	// Of callee.open, guarded by callee.openMu.
	open               bool
	nextOpen, prevOpen *request
}

// States of a request.
const (
	unanswered uint32 = iota
	answered
	expired
)

// answer completes the request and tells whether this was its first answer.
func (r *request) answer(v any, err error) bool { return r.complete(answered, v, err, nil) }

func (r *request) complete(state uint32, v any, err error, w *worker) bool {
	if !r.state.CompareAndSwap(unanswered, state) {
		return false
	}
	r.sys.wheel.cancel(&r.timerNode)
	if c := r.callee; c != nil {
		c.closeRequest(r)
	}
	r.value, r.err = v, err
	if r.asker == nil {
		r.then(v, err)
		return true
	}
	r.asker.post(envelope{kind: kindAnswer, req: r}, w)
	return true
}

// expire makes the request its own timer.
func (r *request) expire() {
	r.complete(expired, nil, &Error{Code: Deadline, Actor: r.sys.nameOf(r.to)}, nil)
}

func (r *request) done() bool { return r.state.Load() != unanswered }

// Promise answers a request later, from whatever message or goroutine has the answer. The zero Promise answers nobody.
type Promise struct{ req *request }

// Reply answers the request; it tells false when it had been answered before or its deadline is over.
func (p Promise) Reply(v any, err error) bool {
	return p.req != nil && p.req.answer(v, err)
}

// Open tells whether somebody still waits for the answer.
func (p Promise) Open() bool { return p.req != nil && !p.req.done() }
