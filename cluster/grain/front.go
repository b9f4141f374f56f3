package grain

import (
	"errors"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
)

// front is the actor that others know as the grain. It passes what it gets to the actor of the kind, its child, while the node may have grains, and knows when the grain is idle. When the activation ends, it keeps what
// comes until the directory has forgotten the activation, and passes it from then on to where the grain is; so nothing is lost, and nothing overtakes.
type front struct {
	g     *Grains
	h     *hosted
	kind  *Kind
	id    string
	inner actor.Ref

	state     frontState
	last      time.Time // when the last message came, by the clock of the system
	users     []user
	kept      []func()      // messages that wait for the next state
	returning int           // messages that have waited, and are about to be handled
	next      actor.Ref     // where the grain is now; nobody while that is not known
	seeking   bool          // it is being found out
	telling   []*actor.Node // that were told that the grain has moved, and have not answered
	passing   []actor.Promise
	needed    time.Duration // when the actor ended, or a message came last after that
	failure   error
}

type frontState uint8

const (
	starting frontState = iota
	acting
	closing
	gone // what comes goes elsewhere
)

// user is a node from which messages have come.
type user struct {
	node *actor.Node
	last time.Duration
}

// What a front is told by its agent, and by the actor of the kind.
type (
	ready     struct{ err error }
	closeDown struct{}
	released  struct{}                   // the directory has forgotten the activation
	passedOn  struct{ node *actor.Node } // a node sends no more to where the grain was
)

// transit is how long a message may be on its way between nodes.
const transit = 3 * time.Second

// lingers is how long a front stays after the grain has gone, and the last message has come: until nobody believes that it is here.
func (f *front) lingers() time.Duration { return f.kind.believed() + transit }

func (h *hosted) spec(g *Grains, k *Kind, id string) actor.Spec {
	return actor.Spec{
		New:         func() actor.Actor { return &front{g: g, h: h, kind: k, id: id} },
		Supervision: actor.Supervision{Limit: -1},
		StopTimeout: time.Minute, // its child has a time of its own
	}
}

// Start starts the actor of the kind.
func (f *front) Start(c *actor.Context) error {
	spec := f.kind.New(Identity{Kind: f.kind.Name, ID: f.id, Epoch: f.h.epoch, Ref: c.Self()})
	if spec.New == nil {
		return errors.New("its kind makes no actor")
	}
	f.last = f.g.sys.Now()
	made, self := spec.New, c.Self()
	spec.New = func() actor.Actor { return newInner(made(), self) }
	inner, err := c.Spawn(spec)
	if err != nil {
		return err
	}
	f.inner = inner
	c.Watch(inner)
	return nil
}

// Receive passes messages on, or keeps them.
func (f *front) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case ready:
		f.ready(c, m.err)
	case closeDown:
		f.close(c)
	case released:
		f.released(c)
	case passedOn:
		f.telling = slices.DeleteFunc(f.telling, func(n *actor.Node) bool { return n == m.node })
	case actor.Terminated:
		f.ended(c, m)
	default:
		f.came(c, msg)
	}
}

// ready begins to act, or ends.
func (f *front) ready(c *actor.Context, err error) {
	if f.state != starting {
		return
	}
	if err != nil {
		f.failure = err
		f.state = closing
		c.Kill(f.inner, nil) // there is nothing to be saved
		return
	}
	f.state = acting
	c.Send(f.g.agent, opened{f.h, nil})
	f.passKept()
	if f.kind.Idle > 0 {
		f.sleepIn(c, f.kind.Idle)
	}
}

// sleepIn looks after some time whether the grain is idle.
func (f *front) sleepIn(c *actor.Context, d time.Duration) {
	c.Detached(func() {
		c.After(d, func() {
			if f.state != acting {
				return
			}
			if left := f.kind.Idle - f.g.sys.Now().Sub(f.last); left > 0 {
				f.sleepIn(c, left)
				return
			}
			f.g.metrics.closed.WithLabelValues("idle").Inc()
			f.close(c)
		})
	})
}

// close ends the activation: its actor handles what it has been sent so far.
func (f *front) close(c *actor.Context) {
	switch f.state {
	case acting:
		f.state = closing
		c.Drain(f.inner, 0)
	case gone: // it is in a hurry now
		f.lookDone(c)
	case starting, closing:
	}
}

// ended hears that the actor of the kind has.
func (f *front) ended(c *actor.Context, m actor.Terminated) {
	if m.Ref != f.inner {
		return
	}
	if f.state == starting && f.failure == nil {
		f.failure = m.Reason
		if f.failure == nil {
			f.failure = errors.New("its actor has stopped")
		}
	}
	f.state = closing
	f.needed = f.g.now()
	c.Send(f.g.agent, ended{f.h, f.failure})
}

// released lets go on what has come meanwhile: to where the grain is now.
func (f *front) released(c *actor.Context) {
	f.state, f.failure = gone, nil
	f.seek(c)
	now := f.g.now()
	for _, u := range f.users {
		if now-u.last <= f.lingers() {
			f.tell(c, u.node)
		}
	}
	f.users = nil
	f.lookIn(c)
}

// tell has a node send no more here.
func (f *front) tell(c *actor.Context, n *actor.Node) {
	if n == nil || slices.Contains(f.telling, n) {
		return
	}
	f.telling = append(f.telling, n)
	c.Send(f.g.agent, tellMoved{n, f.h.key})
}

// lookEach is how often a front looks whether it is needed still, when its node drains or it has lingered.
const lookEach = 50 * time.Millisecond

// lookIn looks later whether the front is needed still.
func (f *front) lookIn(c *actor.Context) {
	d := lookEach
	if !f.h.hurry.Load() {
		d = max(d, f.lingers()-(f.g.now()-f.needed))
	}
	c.Detached(func() { c.After(d, func() { f.lookDone(c) }) })
}

// lookDone ends the front when nobody believes that the grain is here.
func (f *front) lookDone(c *actor.Context) {
	f.passing = slices.DeleteFunc(f.passing, func(p actor.Promise) bool { return !p.Open() })
	busy := len(f.telling) > 0 || f.returning > 0 || len(f.kept) > 0 || len(f.passing) > 0
	if !busy && (f.g.now()-f.needed > f.lingers() || f.h.hurry.Load()) {
		c.Stop(c.Self(), nil)
		return
	}
	f.lookIn(c)
}

// came takes a message.
func (f *front) came(c *actor.Context, msg any) {
	_, chased := msg.(chase)
	switch {
	case f.state != gone:
		f.use(c.From().Home())
	case !chased: // that node was told of this place by a directory before the grain went
		f.needed = f.g.now()
		f.tell(c, c.From().Home())
	}
	switch {
	case chased && f.state == gone && f.next.IsZero() && len(f.kept)+f.returning == 0:
		c.Reply(nil, ErrNotHere) // nothing is on its way, so the grain need not be woken
	case f.takes() && f.returning == 0:
		f.take(c, msg)
	case len(f.kept)+f.returning >= f.g.cfg.MaxWaiting/16:
		f.g.metrics.overloaded.Inc()
		f.fail(c, msg, &actor.Error{Code: actor.Overloaded, Actor: f.h.key, Text: "too many messages wait for the grain"})
	case f.returning > 0: // behind those that have waited, and are about to be handled
		f.returning++
		f.again(c, msg)()
	default:
		f.keep(c, msg)
	}
}

// takes tells whether messages need not be kept.
func (f *front) takes() bool { return f.state == acting || f.state == gone && !f.next.IsZero() }

// take gives the message in hand to whom it is for.
func (f *front) take(c *actor.Context, msg any) {
	if f.state == acting {
		f.pass(c, msg)
	} else {
		f.passOn(c, msg)
	}
}

// keep has the message in hand wait.
func (f *front) keep(c *actor.Context, msg any) {
	f.kept = append(f.kept, f.again(c, msg))
	f.seek(c)
}

// seek finds out where the grain is now, when somebody wants to speak to it.
func (f *front) seek(c *actor.Context) {
	if f.state != gone || f.seeking || len(f.kept) == 0 {
		return
	}
	f.seeking = true
	c.Detached(func() {
		c.AskFor(f.g.agent, successor{f.h.key, f.h.epoch}, f.g.cfg.Patience, func(v any, err error) {
			f.seeking = false
			if at, ok := v.(place); ok && err == nil {
				f.next = at.Ref
			} else {
				f.failure = err
			}
			f.passKept()
		})
	})
}

// again makes what handles the message in hand later.
func (f *front) again(c *actor.Context, msg any) func() {
	return c.Resume(func() {
		f.returning--
		switch {
		case f.takes():
			f.take(c, msg)
		case f.state == gone && f.failure != nil: // it could not be found
			f.fail(c, msg, f.failure)
			if f.returning == 0 {
				f.failure = nil // whoever comes later may have more luck
			}
		default: // it has begun to close since
			f.keep(c, msg)
		}
	})
}

// passKept has what was kept come again, in order.
func (f *front) passKept() {
	f.returning += len(f.kept)
	for _, again := range f.kept {
		again()
	}
	f.kept = nil
}

// pass gives the message in hand to the actor of the kind.
func (f *front) pass(c *actor.Context, msg any) {
	if !f.g.trusted() {
		f.g.metrics.fenced.Inc()
		f.fail(c, msg, ErrNotHere)
		return
	}
	if _, ok := msg.(chase); ok {
		c.Reply(place{c.Self(), f.h.epoch}, nil)
		return
	}
	f.last = f.g.sys.Now()
	c.Forward(f.inner)
}

// passOn sends the message in hand to where the grain is now.
func (f *front) passOn(c *actor.Context, msg any) {
	if c.IsRequest() {
		if len(f.passing) >= 64 {
			f.passing = slices.DeleteFunc(f.passing, func(p actor.Promise) bool { return !p.Open() })
		}
		f.passing = append(f.passing, c.Promise())
	}
	c.Forward(f.next)
}

// fail answers the message in hand with why it was not handled.
func (f *front) fail(c *actor.Context, msg any, err error) {
	if c.IsRequest() {
		c.Reply(nil, err)
		return
	}
	f.g.lose(c.From(), f.h.key, msg, err)
}

// use notes which node sends to the grain.
func (f *front) use(n *actor.Node) {
	if n == nil {
		return
	}
	now := f.g.now()
	oldest := 0
	for i := range f.users {
		if f.users[i].node == n {
			f.users[i].last = now
			return
		}
		if f.users[i].last < f.users[oldest].last {
			oldest = i
		}
	}
	if len(f.users) > 4 && now-f.users[oldest].last > f.lingers() {
		f.users[oldest] = user{n, now}
		return
	}
	f.users = append(f.users, user{n, now})
}
