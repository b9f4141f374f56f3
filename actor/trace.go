package actor

import (
	"errors"
	"time"
)

// Tracer makes the spans of a trace, one for each message that is handled. A request's span lasts until it is answered, that of another message until its
// handler returns. Its methods are called by many goroutines and must not block. Package actor/trace has one for OpenTelemetry.
type Tracer interface {
	// Begin is called before a handler runs. parent is the span in which the message was sent; nil for messages from outside of all actors, with which a
	// trace begins if the tracer so chooses. A nil result is a message that is not traced, and nothing that its handler sends is.
	Begin(parent Span, h Handling) Span
}

// Span is a message on its way through its handler.
type Span interface {
	// End is called once, with what a request failed with.
	End(err error)
}

// Handling is what a span is about.
type Handling struct {
	Actor   string // name or address
	Message string // type of the message
	Request bool
}

// traced is a message that was sent within a span.
type traced struct {
	msg  any
	span Span
}

// Inbound is a message as an actor is about to handle it.
type Inbound struct {
	At      time.Time
	From    Ref
	Message any
	Request bool // its sender waits for an answer
}

type tap struct {
	f   func(Inbound)
	off bool
}

// Tap has f see each message of an actor before the actor does, in the actor's own goroutine: it must not block. It ends with the actor or when remove is
// called, which any goroutine may do; one more message may then still be seen.
func (s *System) Tap(of Ref, f func(Inbound)) (remove func(), err error) {
	p := s.process(of)
	if p == nil || p.sys != s {
		return nil, &Error{Code: NoActor, Actor: of.String()}
	}
	t := &tap{f: f}
	p.tell(systemMsg{op: opTap, tap: t})
	return func() { p.tell(systemMsg{op: opUntap, tap: t}) }, nil
}

// setTap adds or removes t.
func (p *process) setTap(t *tap, on bool) {
	m := p.more()
	taps := make([]*tap, 0, len(m.taps)+1)
	for _, other := range m.taps {
		if other != t {
			taps = append(taps, other)
		}
	}
	if on && !t.off {
		taps = append(taps, t)
	}
	t.off = !on
	m.taps = taps
	p.observed = len(taps) > 0 || p.sys.cfg.Tracer != nil
}

// observe shows a message to whoever wants to see it, and begins its span.
func (p *process) observe(e *envelope) {
	in := &p.worker.in
	if p.rare != nil {
		for _, t := range p.rare.taps {
			t.f(Inbound{At: time.Now(), From: in.from, Message: in.msg, Request: in.req != nil})
		}
	}
	tracer := p.sys.cfg.Tracer
	if tracer == nil {
		return
	}
	var parent Span
	switch {
	case e.req != nil:
		parent = e.req.in.span
	case e.kind == kindTraced:
		parent = e.msg.(*traced).span //nolint:forcetypeassert // what newEnvelope makes
	}
	if parent == nil && !e.from.IsZero() {
		return // part of what is not traced
	}
	in.span = tracer.Begin(parent, Handling{Actor: p.name(), Message: typeName(in.msg), Request: in.req != nil})
	if in.req != nil {
		in.req.span = in.span
	} else {
		p.more().handling = in.span
	}
}

// endSpan ends the span of a message that is no request.
func (p *process) endSpan(err error) {
	if p.rare != nil && p.rare.handling != nil {
		p.rare.handling.End(err)
		p.rare.handling = nil
	}
}

// errGoexit is what is said of a handler that ended its goroutine, as testing.T.FailNow does.
var errGoexit = errors.New("runtime.Goexit was called")
