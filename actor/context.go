package actor

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"
)

// Context is what an actor can do while it handles a message. It belongs to the actor and is valid in Receive, Start, Stop and in
// continuations; other goroutines must not use it. A continuation is part of the request in which it was made: Reply in it answers that request.
type Context struct{ p *process }

// frame is the message that is being handled.
type frame struct {
	msg  any
	from Ref
	req  *request
	span Span
}

// enter begins to handle a message, or to go on with one.
func (w *worker) enter(f frame) { w.in, w.kept, w.forwarded = f, nil, false }

func (c *Context) in() *frame { return &c.p.worker.in }

// Self is the actor's own Ref.
func (c *Context) Self() Ref { return c.p.self }

// Name is the actor's name, or its address if it has none.
func (c *Context) Name() string { return c.p.name() }

// From is who sent the message; nobody for messages from outside.
func (c *Context) From() Ref { return c.in().from }

// Message is the message that is handled, or that a continuation is part of.
func (c *Context) Message() any { return c.in().msg }

// System is the actor's system.
func (c *Context) System() *System { return c.p.sys }

// Span is the trace's span of the message that is handled; nil when it is not traced, see Config.Tracer.
func (c *Context) Span() Span { return c.in().span }

// Log is a logger that knows the actor.
func (c *Context) Log() *slog.Logger {
	m := c.p.more()
	if m.log == nil {
		m.log = c.p.sys.log.With("actor", c.Name())
		if kind := c.p.opts.kind; kind != "" {
			m.log = m.log.With("kind", kind)
		}
	}
	return m.log
}

// IsRequest tells whether somebody waits for a Reply.
func (c *Context) IsRequest() bool { r := c.in().req; return r != nil && !r.done() }

// Deadline is when the asker gives up, if there is one.
func (c *Context) Deadline() (time.Time, bool) {
	r := c.in().req
	if r == nil {
		return time.Time{}, false
	}
	return r.deadline(), true
}

// Send gives a message to an actor. It never blocks.
func (c *Context) Send(to Ref, msg any) { c.p.sys.send(to, c.p.self, msg, c.in().span, c.p.worker) }

// SendAll gives one message to many actors, which share it.
func (c *Context) SendAll(to []Ref, msg any) {
	for _, ref := range to {
		c.Send(ref, msg)
	}
}

// Ask sends a request; then runs in this actor with the answer, or with the reason why there is none. The deadline is the one of the request
// that is being handled, and at most the system's default. When nobody waits for that request any more, this one is given up too (ErrCanceled).
func (c *Context) Ask(to Ref, msg any, then func(any, error)) Call {
	return c.AskFor(to, msg, c.p.sys.cfg.CallTimeout, then)
}

// AskFor is Ask with a timeout of its own, which the deadline of the request that is being handled still bounds.
func (c *Context) AskFor(to Ref, msg any, timeout time.Duration, then func(any, error)) Call {
	p, in := c.p, c.in()
	if then == nil {
		then = func(any, error) {}
	}
	r := &request{sys: p.sys, asker: p, life: p.life, then: then, in: *in, to: to, when: p.sys.tickAfter(timeout), since: p.sys.begins()}
	if in.req != nil && in.req.state.Load() != answered {
		r.when = min(r.when, in.req.whenIn(p.sys))
		r.parent.Store(in.req)
		r.depth = min(in.req.depth, maxDepth) + 1
	}
	p.awaits(r)
	p.sys.ask(r, p.self, msg, p.worker)
	return Call{r}
}

// Forward hands the request or message that is being handled to another actor, which answers in this one's place. A request that has been answered
// already stays where it is; one that was forwarded 64 times fails with ErrCycle.
func (c *Context) Forward(to Ref) {
	s, in := c.p.sys, c.in()
	r := in.req
	if r == nil {
		s.send(to, in.from, in.msg, c.passOn(), c.p.worker)
		return
	}
	if r.done() {
		return
	}
	if r.hops >= maxHops {
		r.answer(nil, &Error{Code: Cycle, Actor: c.Name(), Text: "forwarded too often"})
		return
	}
	c.p.worker.forwarded = true
	next := &request{
		sys: r.sys, asker: r.asker, depth: r.depth, to: to, hops: r.hops + 1, when: r.when, callee: s.process(to),
		in: frame{span: c.passOn()}, inline: true, then: func(v any, err error) { r.answer(v, err) },
	}
	next.parent.Store(r.parent.Load())
	r.forwarded.Store(next)
	c.p.closeRequest(r)
	if !r.done() { // else whoever gave it up may not have known where it went
		s.ask(next, in.from, in.msg, c.p.worker)
	}
}

// Reply answers the request that is being handled; for a message that is none it does nothing. An answer to a request that has already
// been answered is dropped and logged, unless nobody waited for it any more.
func (c *Context) Reply(v any, err error) {
	r := c.in().req
	if r == nil || r.complete(answered, v, err, c.p.worker) {
		return
	}
	if !r.abandoned() {
		c.Log().Warn("answered twice", "message", typeName(c.in().msg))
	}
}

// Promise is the duty to answer the request that is being handled, to be kept later and by anybody.
func (c *Context) Promise() Promise { return Promise{c.in().req} }

// ReplyTo answers a promise of this actor's own, within its turn, as Promise.Reply does from anywhere: whoever asked is then run next by the same worker.
func (c *Context) ReplyTo(promise Promise, v any, err error) bool {
	w := c.p.worker
	if w != nil && w.current.Load() != c.p {
		w = nil // it is the turn of another actor, which shares state with this one
	}
	return promise.req != nil && promise.req.complete(answered, v, err, w)
}

// Detached runs f as if no message were being handled: what it asks inherits no deadline, and its continuations answer nobody.
func (c *Context) Detached(f func()) { c.Within(nil, f) }

// AtStop has f called behind the actor's Stop, if it has one, and where that would be called: see Stopper, which says what f may do. It is for parts of an
// actor that have something to save. In an actor whose Stop has been called f runs when the present handler has returned. What is no longer needed calls
// forget, in the actor.
func (c *Context) AtStop(f func()) (forget func()) {
	p := c.p
	if p.hookDone {
		c.soon(f)
		return func() {}
	}
	m, own := p.more(), &f
	m.atStop = append(m.atStop, own)
	return func() { m.atStop = slices.DeleteFunc(m.atStop, func(g *func()) bool { return g == own }) }
}

// Hold keeps a stopping actor alive until release is called, from any goroutine. Only the first call counts.
func (c *Context) Hold() (release func()) {
	p, life := c.p, c.p.life
	p.holds++
	return sync.OnceFunc(func() {
		p.post(envelope{kind: kindResume, msg: &resume{life: life, held: true, run: func() {}}}, nil)
	})
}

// Resume makes a function that any goroutine may call, any number of times: run is then called in this actor, as part of the request that is
// being handled now. It does nothing once the actor has ended or begun a new life.
func (c *Context) Resume(run func()) func() {
	p, in, life := c.p, *c.in(), c.p.life
	return func() { p.post(envelope{kind: kindResume, msg: &resume{life: life, in: in, run: run}}, nil) }
}

// soon runs f when the present handler has returned. A stopping actor waits for it.
func (c *Context) soon(f func()) {
	p := c.p
	p.holds++
	p.post(envelope{kind: kindResume, msg: &resume{life: p.life, in: *c.in(), held: true, run: f}}, nil)
}

// After runs f in the actor when d has passed, as part of the request that is being handled.
func (c *Context) After(d time.Duration, f func()) *Timer { return c.p.startTimer(d, 0, c.keep(), f) }

// Every runs f in the actor each d, at the earliest every millisecond, as part of no request.
func (c *Context) Every(d time.Duration, f func()) *Timer {
	return c.p.startTimer(d, max(d, tick), nil, f)
}

// keep is the present frame for continuations that share it; nil for an empty one.
func (c *Context) keep() *frame {
	w := c.p.worker
	if w.kept == nil && (w.in.msg != nil || w.in.req != nil || w.in.span != nil) {
		f := w.in
		w.kept = &f
	}
	return w.kept
}

// Go runs work off the actor, where it may block, and then runs in the actor with what it returned. The context that work gets ends with the
// actor, with the deadline of the request that is being handled, or when nobody waits for that any more. A panic in work is an error. Results may arrive in
// any order.
func (c *Context) Go(work func(ctx context.Context) (any, error), then func(any, error)) {
	c.p.giveAway(c.in(), work, then)
}

// Spawn starts a child, which is stopped with this actor. It does not wait for the child's Start: watch the child to hear that it failed.
func (c *Context) Spawn(spec Spec) (Ref, error) {
	if c.p.endingChildren {
		return Ref{}, &Error{Code: Stopped, Actor: c.Name()}
	}
	child, err := c.p.sys.spawn(spec, c.p)
	if err != nil {
		return Ref{}, err
	}
	if c.p.children == nil {
		c.p.children = map[*process]struct{}{}
	}
	c.p.children[child] = struct{}{}
	c.p.sys.disp.push(child)
	return child.self, nil
}

// Terminated tells a watcher that an actor has ended, and why; a nil Reason is an actor that was asked to stop.
type Terminated struct {
	Ref    Ref
	Reason error
}

// Watch sends this actor a Terminated, once, when the other has ended; at once if there is no such actor. A restart of the watcher ends its watches.
func (c *Context) Watch(to Ref) {
	p := c.p
	if _, watches := p.watching[to]; watches {
		return
	}
	if p.watching == nil {
		p.watching = map[Ref]struct{}{}
	}
	p.watching[to] = struct{}{}
	if remote := to.away(); remote != nil {
		remote.Watch(p.self, to)
	} else if target := p.sys.process(to); target == nil || !target.addWatcher(p) {
		p.post(envelope{kind: kindTerminated, msg: Terminated{Ref: to, Reason: p.sys.absent(to)}}, nil)
	}
}

// Unwatch takes Watch back: no Terminated comes from then on.
func (c *Context) Unwatch(to Ref) {
	delete(c.p.watching, to)
	c.p.unwatch(to)
}

// Stop asks an actor, or this one itself, to end: after the message that it handles, without those that wait. It is given its StopTimeout for its end.
func (c *Context) Stop(to Ref, reason error) { c.p.sys.Stop(to, reason) }

// Drain asks an actor to end after the messages that it has been sent so far, or when within has passed; 0 sets no limit.
func (c *Context) Drain(to Ref, within time.Duration) { c.p.sys.drain(to, c.p.self, within, nil) }

// Retire is Drain with a reason, which Stop and those who watch are told. Of several Retires and Drains the one that the actor comes to first tells the reason.
func (c *Context) Retire(to Ref, within time.Duration, reason error) {
	c.p.sys.drain(to, c.p.self, within, reason)
}

// Kill ends an actor after the message that it handles, and its children with it: without their Stop, and without what they wait for.
func (c *Context) Kill(to Ref, reason error) { c.p.sys.Kill(to, reason) }

// Subscribe has this actor receive what is published to a topic, until it ends, restarts or unsubscribes.
func (c *Context) Subscribe(topic string) { c.p.subscribe(topic) }

// Unsubscribe takes Subscribe back. What has been published before may still arrive.
func (c *Context) Unsubscribe(topic string) { c.p.unsubscribe(topic) }

// Publish sends one message to all subscribers of a topic, which share it, and returns how many there are, those whose mailbox is full among them. Messages of
// one publisher arrive in order.
func (c *Context) Publish(topic string, msg any) int {
	return c.p.sys.topics.publish(topic, c.p.self, msg, c.in().span, c.p.worker)
}
