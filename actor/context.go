package actor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// Context is what an actor can do while it handles a message. It belongs to the actor and is valid in Receive, Start, Stop and in
// continuations; other goroutines must not use it. A continuation is part of the request in which it was made: Reply in it answers that request.
type Context struct {
	p  *process
	in frame
}

// frame is the message that is being handled.
type frame struct {
	msg  any
	from Ref
	req  *request
}

// Self is the actor's own Ref.
func (c *Context) Self() Ref { return c.p.self }

// Name is the actor's name, or its address if it has none.
func (c *Context) Name() string { return c.p.name() }

// From is who sent the message; nobody for messages from outside.
func (c *Context) From() Ref { return c.in.from }

// Message is the message that is handled, or that a continuation is part of.
func (c *Context) Message() any { return c.in.msg }

// System is the actor's system.
func (c *Context) System() *System { return c.p.sys }

// Log is a logger that knows the actor.
func (c *Context) Log() *slog.Logger {
	if c.p.log == nil {
		c.p.log = c.p.sys.log.With("actor", c.Name())
	}
	return c.p.log
}

// IsRequest tells whether somebody waits for a Reply.
func (c *Context) IsRequest() bool { return c.in.req != nil && !c.in.req.done() }

// Deadline is when the asker gives up, if there is one.
func (c *Context) Deadline() (time.Time, bool) {
	if c.in.req == nil {
		return time.Time{}, false
	}
	return c.p.sys.wheel.start.Add(time.Duration(c.in.req.when) * tick), true
}

// Send gives a message to an actor. It never blocks.
func (c *Context) Send(to Ref, msg any) { c.p.sys.send(to, c.p.self, msg, c.p.worker) }

// Ask sends a request; then runs in this actor with the answer, or with the reason why there is none. The deadline is the one of the request
// that is being handled, and at most the system's default.
func (c *Context) Ask(to Ref, msg any, then func(any, error)) {
	c.AskFor(to, msg, c.p.sys.cfg.CallTimeout, then)
}

// AskFor is Ask with a timeout of its own, which the deadline of the request that is being handled still bounds.
func (c *Context) AskFor(to Ref, msg any, timeout time.Duration, then func(any, error)) {
	p := c.p
	deadline := p.sys.tickAfter(timeout)
	if r := c.in.req; r != nil && r.state.Load() != answered {
		deadline = min(deadline, r.when)
	}
	p.holds++
	p.sys.ask(&request{sys: p.sys, asker: p, life: p.life, then: then, in: c.in, to: to}, p.self, msg, deadline, p.worker)
}

// maxHops is how often a request may be forwarded. What is handed on more often goes in a circle.
const maxHops = 64

// Forward hands the request or message that is being handled to another actor, which answers in this one's place. A request that has been answered
// already stays where it is; one that was forwarded 64 times fails with ErrCycle.
func (c *Context) Forward(to Ref) {
	s := c.p.sys
	r := c.in.req
	if r == nil {
		s.send(to, c.in.from, c.in.msg, c.p.worker)
		return
	}
	if r.done() {
		return
	}
	if r.hops >= maxHops {
		r.answer(nil, &Error{Code: Cycle, Actor: c.Name(), Text: "forwarded too often"})
		return
	}
	r.moved = true
	c.p.closeRequest(r)
	next := &request{sys: s, to: to, hops: r.hops + 1, then: func(v any, err error) { r.answer(v, err) }}
	s.ask(next, c.in.from, c.in.msg, r.when, c.p.worker)
}

// Reply answers the request that is being handled; for a message that is none it does nothing. An answer to a request that has already
// been answered is dropped and logged, unless it was the deadline that answered it.
func (c *Context) Reply(v any, err error) {
	r := c.in.req
	if r == nil || r.complete(answered, v, err, c.p.worker) {
		return
	}
	if r.state.Load() != expired {
		c.Log().Warn("answered twice", "message", fmt.Sprintf("%T", c.in.msg))
	}
}

// Promise is the duty to answer the request that is being handled, to be kept later and by anybody.
func (c *Context) Promise() Promise { return Promise{c.in.req} }

// Detached runs f as if no message were being handled: what it asks inherits no deadline, and its continuations answer nobody.
func (c *Context) Detached(f func()) {
	was := c.in
	c.in = frame{}
	defer func() { c.in = was }()
	f()
}

// Go runs work off the actor, where it may block, and then runs in the actor with what it returned. The context that work gets ends with the
// actor or with the deadline of the request that is being handled. A panic in work is an error. Results may arrive in any order.
func (c *Context) Go(work func(ctx context.Context) (any, error), then func(any, error)) {
	p, in, life := c.p, c.in, c.p.life
	ctx, cancel := p.lifetime(), context.CancelFunc(func() {})
	if d, ok := c.Deadline(); ok {
		ctx, cancel = context.WithDeadline(ctx, d)
	}
	p.holds++
	back := func(v any, err error) {
		cancel()
		p.post(envelope{kind: kindResume, msg: &resume{life: life, in: in, held: true, run: func() { then(v, err) }}}, nil)
	}
	ok := p.sys.pool.submit(func() {
		if ctx.Err() != nil {
			back(nil, lateWork(ctx, p.name()))
			return
		}
		back(protect(ctx, p.name(), work))
	})
	if !ok {
		back(nil, &Error{Code: Overloaded, Actor: c.Name(), Text: "too much blocking work is waiting"})
	}
}

// lateWork is why work was not begun.
func lateWork(ctx context.Context, name string) error {
	code := Stopped
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		code = Deadline
	}
	return &Error{Code: code, Actor: name, Text: "before the work began"}
}

func protect(ctx context.Context, name string, work func(context.Context) (any, error)) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = &Error{Code: Failed, Actor: name, Text: fmt.Sprint(r), Stack: string(debug.Stack())}
		}
	}()
	return work(ctx)
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
// being handled now. It does nothing once the actor has ended.
func (c *Context) Resume(run func()) func() {
	p, in, life := c.p, c.in, c.p.life
	return func() { p.post(envelope{kind: kindResume, msg: &resume{life: life, in: in, run: run}}, nil) }
}

// After runs f in the actor when d has passed, as part of the request that is being handled.
func (c *Context) After(d time.Duration, f func()) *Timer { return c.p.startTimer(d, 0, c.in, f) }

// Every runs f in the actor each d, at the earliest every millisecond, as part of no request.
func (c *Context) Every(d time.Duration, f func()) *Timer {
	return c.p.startTimer(d, max(d, tick), frame{}, f)
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
	if target := p.sys.process(to); target == nil || !target.addWatcher(p) {
		p.post(envelope{kind: kindTerminated, msg: Terminated{Ref: to, Reason: p.sys.absent(to)}}, nil)
	}
}

// Unwatch takes Watch back: no Terminated comes from then on.
func (c *Context) Unwatch(to Ref) {
	delete(c.p.watching, to)
	if target := c.p.sys.process(to); target != nil {
		target.removeWatcher(c.p)
	}
}

// Stop asks an actor, or this one itself, to end: after the message that it handles, without those that wait.
func (c *Context) Stop(to Ref, reason error) { c.p.sys.Stop(to, reason) }

// Drain asks an actor to end after the messages that it has been sent so far.
func (c *Context) Drain(to Ref) {
	if p := c.p.sys.process(to); p != nil {
		p.post(envelope{kind: kindDrain, from: c.p.self}, nil)
	}
}
