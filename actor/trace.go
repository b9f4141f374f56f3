package actor

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Tracer makes the spans of a trace, one for each message that is handled. A request's span lasts until it is answered, that of another message until its
// handler returns, or longer, see Context.KeepSpan. Its methods are called by many goroutines and must not block. Package actor/trace has one for
// OpenTelemetry.
type Tracer interface {
	// Begin is called before a handler runs. parent is the span in which the message was sent; nil for messages from outside of all actors, with which a
	// trace begins if the tracer so chooses. A nil result is a message that is not traced, and nothing that its handler sends is.
	Begin(parent Span, h Handling) Span
}

// Carrier is a Tracer whose spans are in contexts, too: System.Ask takes the caller's from its context, and work given to Context.Go finds its actor's in
// its own.
type Carrier interface {
	Tracer
	// SpanIn is the span in ctx. A nil one is no span, with which a trace begins if the tracer so chooses.
	SpanIn(ctx context.Context) Span
	// Carry is ctx with a span of this tracer in it; with nil, ctx says that it is part of what is not traced.
	Carry(ctx context.Context, s Span) context.Context
}

// Span is a message on its way through its handler. Spans are pointers, or can be compared with == at least.
type Span interface {
	// End is called when the message has been handled, with what that failed with, by any goroutine. It may be called again: only the first call counts.
	End(err error)
}

// Handling is what a span is about. It is valid during Begin only. Its methods build texts, so that what is not traced does not pay for them.
type Handling struct {
	// Request tells whether somebody waits for an answer: an asker, or whoever is behind an Awaited message.
	Request bool

	p   *process
	msg any
}

// Node is the name of the actor's node.
func (h Handling) Node() string { return h.p.sys.cfg.Node }

// Actor is the actor's name, or its address if it has none.
func (h Handling) Actor() string { return h.p.name() }

// ActorType is what kind of actor it is: what a TypedActor says, else its name, else its Go type.
func (h Handling) ActorType() string {
	switch a, ok := h.p.actor.(TypedActor); {
	case ok:
		return a.ActorType()
	case h.p.named != "":
		return h.p.named
	}
	return fmt.Sprintf("%T", h.p.actor)
}

// Message is the type of the message: what a Typed one says, else its Go type.
func (h Handling) Message() string { return typeName(h.msg) }

// User is the user for whom the actor acts, as an ActsFor says; else empty.
func (h Handling) User() string {
	if a, ok := h.p.actor.(ActsFor); ok {
		return a.User()
	}
	return ""
}

// Route is what a Routed message asks for; else empty.
func (h Handling) Route() string {
	if m, ok := h.msg.(Routed); ok {
		return m.MessageRoute()
	}
	return ""
}

// ActsFor is an actor that acts for one user, so that traces can be of that user's requests. User is called by the actor's own goroutine; empty is nobody yet.
type ActsFor interface{ User() string }

// Routed is a message that says what it asks for, so that traces can be of such requests.
type Routed interface{ MessageRoute() string }

// TypedActor is an actor that tells what kind of actor it is, for traces: one of few short texts. It is called by the actor's own goroutine.
type TypedActor interface{ ActorType() string }

// Awaited is a message that is no request of an actor but may be one of somebody else's, a client's for example, who waits for an answer.
type Awaited interface{ Awaited() bool }

// KeepSpan is Span for a message that is no request and whose work goes on when its handler has returned: the caller, not the runtime, is to End it. The
// runtime still does when the handler panics.
func (c *Context) KeepSpan() Span {
	s := c.in().span
	if m := c.p.rare; s != nil && m != nil && m.handling == s {
		m.handling = nil
	}
	return s
}

// Within is Detached, but what f sends and asks is sent within span: nil is none.
func (c *Context) Within(span Span, f func()) {
	w := c.p.worker
	in, kept := w.in, w.kept
	w.in, w.kept = frame{span: span}, nil
	defer func() { w.in, w.kept = in, kept }()
	f()
}

// untraced is the span of a message from outside that its first handler has forwarded: no trace has begun with it there, and none begins behind it.
type untraced struct{ _ byte } // of some size, so that its address is its own

func (*untraced) End(error) {}

var notTraced Span = &untraced{} //nolint:gochecknoglobals // a constant

// passOn is the span in which the message in hand is forwarded.
func (c *Context) passOn() Span {
	in := c.in()
	if in.span == nil && in.from.IsZero() && c.p.sys.cfg.Tracer != nil {
		return notTraced
	}
	return in.span
}

// Tracer is what makes spans of what actors handle; nil when there is none.
func (s *System) Tracer() Tracer { return s.cfg.Tracer }

// spanIn is the span in a context from outside of all actors.
func (s *System) spanIn(ctx context.Context) Span {
	if c, ok := s.cfg.Tracer.(Carrier); ok {
		return c.SpanIn(ctx)
	}
	return nil
}

// carry is ctx with the span in it, if there is anything to carry.
func (s *System) carry(ctx context.Context, span Span) context.Context {
	if c, ok := s.cfg.Tracer.(Carrier); ok {
		return c.Carry(ctx, span)
	}
	return ctx
}

// traced is a message that was sent within a span.
type traced struct {
	msg  any
	span Span
}

// Lent is a message whose sender uses its memory again once it has been answered, as an exception to messages never changing: for a sender and a receiver that know
// each other, and whose requests are too many for each to have memory of its own. Taps and tracers, who may keep what they see, get what Kept returns.
type Lent interface{ Kept() any }

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
	msg := in.msg
	if l, ok := msg.(Lent); ok {
		msg = l.Kept()
	}
	if p.rare != nil {
		for _, t := range p.rare.taps {
			p.sys.guarded("tap", func() { t.f(Inbound{At: time.Now(), From: in.from, Message: msg, Request: in.req != nil}) })
		}
	}
	tracer := p.sys.cfg.Tracer
	if tracer == nil {
		return
	}
	var parent Span
	switch {
	case e.kind == kindTraced:
		parent = e.msg.(*traced).span //nolint:forcetypeassert // what newEnvelope makes
	case !e.from.IsZero():
		return // part of what is not traced
	}
	if parent == notTraced {
		return
	}
	waits := in.req != nil
	if m, ok := in.msg.(Awaited); ok && !waits {
		waits = m.Awaited()
	}
	var span Span
	p.sys.guarded("tracer", func() { span = tracer.Begin(parent, Handling{Request: waits, p: p, msg: msg}) })
	if span == nil {
		return
	}
	in.span = span
	if in.req != nil {
		in.req.begin(span)
	} else {
		p.more().handling = span
	}
}

// endSpan ends the span of a message that is no request.
func (p *process) endSpan(err error) {
	if p.rare != nil && p.rare.handling != nil {
		p.sys.endSpan(p.rare.handling, err)
		p.rare.handling = nil
	}
}

// failSpan ends the span of what has panicked, unless it is a request, whose answer does.
func (p *process) failSpan(err error) {
	if p.rare != nil && p.rare.handling != nil {
		p.endSpan(err)
		return
	}
	if in := &p.worker.in; in.span != nil && in.req == nil {
		p.sys.endSpan(in.span, err) // one that was kept, or else has ended
	}
}

// begin sets the span of the request's handler, which lasts as long as the request. Somebody may have given that up meanwhile.
func (r *request) begin(s Span) {
	r.span.Store(&s)
	code := Canceled
	switch r.state.Load() {
	case unanswered:
		return
	case expired:
		code = Deadline
	}
	r.endSpan(&Error{Code: code, Actor: r.callee.name(), Text: "when its handler began"})
}

func (r *request) endSpan(err error) {
	if r.span.Load() == nil {
		return
	}
	if s := r.span.Swap(nil); s != nil {
		r.sys.endSpan(*s, err)
	}
}

func (s *System) endSpan(span Span, err error) { s.guarded("span", func() { span.End(err) }) }

// guarded calls an observer. Its panic is not the actor's whose goroutine it happens to be in, and must not end the node.
func (s *System) guarded(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("observer failed", "observer", what, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	f()
}

// errGoexit is what is said of a handler that ended its goroutine, as testing.T.FailNow does.
var errGoexit = errors.New("runtime.Goexit was called")
