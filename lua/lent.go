package lua

import (
	"github.com/skua-go/skua/actor/value"
)

// Lent is a Message to a service whose arguments, and the answer, are in memory that its sender uses again and again: a gate has one for each request that waits. A
// service answers it with itself, and the answer is in it; or as it does any other message, with a value.List or an error.
//
// Whoever got a Lent back as its answer may use it for the next request. One whose request ended in any other way is left to the service, which may still come to
// it. It can't be sent to other nodes.
type Lent struct {
	Message
	args, result value.Builder
}

// Open makes it a message of that type, and returns the builder of its arguments; Close is called when they are there.
func (l *Lent) Open(t Type) *value.Builder {
	l.Message = Message{Type: t}
	l.args.Reset()
	l.result.Reset()
	return &l.args
}

// Close ends what Open has begun.
func (l *Lent) Close() { l.Args = l.args.Lend() }

// Answer is what the service has answered, good until Open.
func (l *Lent) Answer() value.List { return l.result.Lend() }

// Kept is the message in memory of its own.
func (l *Lent) Kept() any { return l.kept() }

func (l *Lent) kept() Message {
	m := l.Message
	m.Args = m.Args.Clone()
	return m
}

// lender is a State whose engine makes messages in memory that it is given; an error is for what can't be sent.
type lender interface {
	TakeListTo(b *value.Builder, from int) error
}

// receiveLent handles a message in the memory that it is in, if nothing but its handler gets to see it.
func (h *Host) receiveLent(l *Lent) {
	if h.module == 0 || !h.ready || h.failure != nil || h.behind > 0 || h.filter != 0 || h.forward != nil || h.unknownRequest != 0 || l.Type != TypeClient {
		h.receive(l.kept())
		return
	}
	h.lent = l
	h.deliver(l.Message, h.inbound(l.Message))
	h.lent = nil
}

// answerLent answers with what the handler has returned, in the request's own memory. It is false if that can't be.
func (h *Host) answerLent(co *coroutine) bool {
	l := co.lent
	co.lent = nil
	into, ok := co.th.(lender)
	if !ok || into.TakeListTo(&l.result, 1) != nil {
		return false
	}
	h.c.ReplyTo(co.promise, l, nil)
	return true
}
