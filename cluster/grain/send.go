package grain

import (
	"context"
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
)

// Send gives a message to a grain, which is started if it is nowhere. It never blocks. Messages of one actor to one grain arrive in order, also when it moves. What can't be delivered is a dead letter.
func (g *Grains) Send(c *actor.Context, kind, id string, msg any) {
	key, err := g.keyOf(kind, id)
	if err != nil {
		g.lose(c.Self(), key, msg, err)
		return
	}
	g.locate(c, key, g.cfg.Patience, func(ref actor.Ref, _ uint64, err error) {
		if err != nil {
			g.lose(c.Self(), key, msg, err)
			return
		}
		c.Send(ref, msg)
	})
}

// lose makes a message a dead letter.
func (g *Grains) lose(from actor.Ref, key string, msg any, err error) {
	code := actor.Portable(err).Code
	g.metrics.lost.Inc()
	g.log.Debug("grain: a message is lost", "grain", key, "error", err)
	g.sys.DeadLetter(actor.DeadLetter{From: from, Message: msg, Reason: code})
}

// Ask asks a grain, which is started if it is nowhere; then runs in this actor with the answer, or with the reason why there is none: those of [actor.Context.Ask], and those of this package. Its deadline is
// that of Ask. A request that has found no activation is tried again.
func (g *Grains) Ask(c *actor.Context, kind, id string, msg any, then func(any, error)) {
	g.AskFor(c, kind, id, msg, g.sys.CallTimeout(), then)
}

// AskFor is Ask with a timeout of its own, which the deadline of the request that is being handled still bounds.
func (g *Grains) AskFor(c *actor.Context, kind, id string, msg any, timeout time.Duration, then func(any, error)) {
	key, err := g.keyOf(kind, id)
	if err != nil {
		then(nil, err)
		return
	}
	if at, ok := c.Deadline(); ok {
		timeout = min(timeout, time.Until(at))
	}
	q := &question{g: g, c: c, key: key, msg: msg, until: g.now() + timeout, then: then}
	q.ask()
}

// question is a request to a grain.
type question struct {
	g     *Grains
	c     *actor.Context
	key   string
	msg   any
	until time.Duration
	tries int
	then  func(any, error)
}

// maxTries is how often a request is sent to where no activation is. Each time the directory has said that there is one.
const maxTries = 16

func (q *question) ask() {
	left := q.until - q.g.now()
	q.g.locate(q.c, q.key, left, func(ref actor.Ref, epoch uint64, err error) {
		if err != nil {
			q.then(nil, err)
			return
		}
		left := q.until - q.g.now()
		q.c.AskFor(ref, q.msg, left, func(v any, err error) {
			if err == nil || !isOver(err, ref) || q.tries >= maxTries {
				q.then(v, err)
				return
			}
			q.tries++
			q.g.metrics.retried.Inc()
			q.g.over(q.key, ref, epoch)
			q.ask()
		})
	})
}

// isOver tells whether a request has failed because there is no activation at ref: nobody has handled it.
func isOver(err error, ref actor.Ref) bool {
	if errors.Is(err, ErrNotHere) {
		return true
	}
	e, ok := err.(*actor.Error) //nolint:errorlint // one that is wrapped is another actor's
	return ok && e.Code == actor.NoActor && e.Actor == ref.String()
}

// Call is Ask from outside of all actors: it blocks until there is an answer, or ctx ends.
func (g *Grains) Call(ctx context.Context, kind, id string, msg any) (any, error) {
	return g.sys.Ask(ctx, g.outside, fromOutside{kind, id, msg})
}

// Post is Send from outside of all actors.
func (g *Grains) Post(kind, id string, msg any) {
	g.sys.Send(g.outside, fromOutside{kind, id, msg})
}

// Ref is where a grain is now; it is started if it is nowhere. It is no address to keep: the grain may go elsewhere. It blocks until that is known, or ctx ends.
func (g *Grains) Ref(ctx context.Context, kind, id string) (actor.Ref, error) {
	v, err := g.sys.Ask(ctx, g.outside, whereIs{kind, id})
	ref, _ := v.(actor.Ref)
	return ref, err
}

// Sleep has an activation of this node go to sleep, as one does that is idle: it handles what it was sent so far, and is started anew by the next message. One that is starting or ending is left as it is. Any goroutine
// may call it.
func (g *Grains) Sleep(id Identity) { g.sys.Send(id.Ref, closeDown{}) }

type (
	fromOutside struct {
		kind, id string
		msg      any
	}
	whereIs struct{ kind, id string }
)

// outside is the actor that speaks for those who are none.
type outside struct{ g *Grains }

// Receive sends what it is given.
func (o *outside) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case fromOutside:
		if c.IsRequest() {
			o.g.Ask(c, m.kind, m.id, m.msg, c.Reply)
		} else {
			o.g.Send(c, m.kind, m.id, m.msg)
		}
	case whereIs:
		key, err := o.g.keyOf(m.kind, m.id)
		if err != nil {
			c.Reply(nil, err)
			return
		}
		o.g.locate(c, key, o.g.sys.CallTimeout(), func(ref actor.Ref, _ uint64, err error) { c.Reply(ref, err) })
	}
}

// locate calls then with where a grain is: at once, if that is known and nothing of this actor waits for the grain; else in this actor, when it is known or within has passed, in the order of the calls. What
// then sends is behind what was sent before.
func (g *Grains) locate(c *actor.Context, key string, within time.Duration, then func(ref actor.Ref, epoch uint64, err error)) {
	k, _ := g.kindOf(key)
	self := c.Self()
	p := g.table.part(key)
	p.mu.Lock()
	l := p.location(key)
	now := g.now()
	believed := g.believe(l, k, now)
	if believed && len(l.behind[self]) == 0 {
		g.send(p, l, then)
		return
	}
	if n := g.waiting.Load(); n >= int64(g.cfg.MaxWaiting) || len(l.waiters) >= g.cfg.MaxWaiting/16 {
		p.mu.Unlock()
		g.metrics.overloaded.Inc()
		then(actor.Ref{}, 0, &actor.Error{Code: actor.Overloaded, Actor: key, Text: "too many messages wait for the grain"})
		return
	}
	if g.ended.Load() { // under the lock: who is added before the agent ends is woken by it
		p.mu.Unlock()
		then(actor.Ref{}, 0, errAgent)
		return
	}
	w := &waiter{until: now + within}
	if l.behind == nil {
		l.behind = map[actor.Ref][]*waiter{}
	}
	l.behind[self] = append(l.behind[self], w)
	w.wake = g.waker(c, key, p, l, w, then)
	g.wait(key, l, w)
	p.mu.Unlock()
}

// send has then called with what is known. The lock is held, and released.
func (g *Grains) send(p *part, l *location, then func(ref actor.Ref, epoch uint64, err error)) {
	l.sending++
	l.used = g.now()
	ref, epoch := l.ref, l.epoch
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		l.sent()
		p.mu.Unlock()
	}()
	then(ref, epoch, nil)
}

// wait adds a waiter, and has the agent find out what it waits for. The lock is held.
func (g *Grains) wait(key string, l *location, w *waiter) {
	g.waiting.Add(1)
	l.waiters = append(l.waiters, w)
	switch l.state {
	case known: // only others of this sender are to go first: they are about to
		g.wake(l.takeWaiters(), nil)
	case unknown:
		l.state = resolving
		g.sys.Send(g.agent, search{key, l.over})
	}
}

// waker makes what has the sender go on: in its actor, it sends, or waits once more if the grain has gone elsewhere meanwhile.
func (g *Grains) waker(c *actor.Context, key string, p *part, l *location, w *waiter, then func(ref actor.Ref, epoch uint64, err error)) func() {
	self, release := c.Self(), c.Hold()
	resume := c.Resume(func() {
		k, _ := g.kindOf(key)
		p.mu.Lock()
		// Those before it may have been woken with it and wait once more, because the grain has gone elsewhere since; it may have been found by now.
		believed, first := g.believe(l, k, g.now()), l.isFirst(self, w)
		if w.err == nil && (!believed || !first) && g.now() < w.until {
			g.wait(key, l, w)
			p.mu.Unlock()
			return
		}
		l.goes(self, w)
		if err := w.err; err != nil {
			p.mu.Unlock()
			then(actor.Ref{}, 0, err)
		} else if !believed || !first {
			p.mu.Unlock()
			then(actor.Ref{}, 0, &actor.Error{Code: actor.Deadline, Actor: key, Text: "the grain could not be found or started"})
		} else {
			g.send(p, l, then)
		}
		release()
	})
	return resume
}
