package grain

import (
	"time"

	"github.com/skua-go/skua/actor"
)

const (
	firstPause = 5 * time.Millisecond
	maxPause   = 250 * time.Millisecond
)

// search finds out where a grain is for those who wait for it on this node. There is one search for a grain at a time.
func (a *agent) search(c *actor.Context, m search) {
	if _, searching := a.searches[m.key]; searching {
		return
	}
	a.searches[m.key] = a.g.now()
	a.seek(c, &seeker{
		find:   find{m.key, m.over},
		wanted: func() bool { return a.g.expire(m.key) },
		done: func(at place, err error) {
			delete(a.searches, m.key)
			if err != nil {
				a.g.unsettle(m.key, err)
			} else if _, settled := a.g.found(m.key, at); !settled {
				a.searches[m.key] = a.g.now() // it goes on by a chase
			}
		},
		ended: func() { delete(a.searches, m.key) },
	})
}

// successor finds out where a grain has gone to.
func (a *agent) successor(c *actor.Context, m successor) {
	promise := c.Promise()
	a.seek(c, &seeker{
		find: find{m.key, m.over}, wanted: promise.Open, ended: func() {},
		done: func(at place, err error) { promise.Reply(at, err) },
	})
}

// seeker is who wants to know where a grain is.
type seeker struct {
	find   find
	pause  time.Duration
	wanted func() bool // tells whether anybody waits still
	done   func(place, error)
	ended  func() // is called instead of done when nobody waits any more

	at        *peer         // who is asked for it, if that is another node
	inquiring bool          // all nodes are asked, or were a while ago
	rest      time.Duration // for how long after that
	finished  bool          // done or ended was called
}

// finish is done, once.
func (s *seeker) finish(at place, err error) {
	s.finished = true
	s.done(at, err)
}

// seek asks who keeps the shard, or is to keep it, until there is an answer or nobody waits any more.
func (a *agent) seek(c *actor.Context, s *seeker) {
	if s.finished {
		return
	}
	s.at = nil
	n, err := a.keeper(shardOf(s.find.Key))
	if err != nil {
		a.seekAgain(c, s, err)
		return
	}
	p := a.peerOf(n)
	if p != nil && p.silent && len(p.seekers) >= a.g.cfg.MaxWaiting/16 { // it owes enough
		a.inquireFor(c, s)
		a.seekAgain(c, s, errSilent)
		return
	}
	s.at = p
	a.owes(c, p, s)
	a.askNode(c, n, s.find, a.g.cfg.Patience, func(v any, err error) {
		a.paid(p, s, err == nil || is(err, errNotMine, ErrKind, ErrStart, ErrNoNode))
		at, ok := v.(place)
		switch {
		case s.finished: // by an inquiry
		case err == nil && ok && a.g.isEmptied(at.Ref.Home()): // it has gone since
			s.find.Over = max(s.find.Over, at.Epoch)
			a.seekAgain(c, s, ErrNotHere)
		case err == nil && ok:
			a.g.metrics.found.Inc()
			s.finish(at, nil)
		case is(err, ErrKind, ErrStart, ErrNoNode, actor.ErrOverloaded):
			s.finish(place{}, err)
		default: // that node does not keep it any more, or can't be reached
			if is(err, errNotMine) && !a.own(n) { // what this node has itself it knows, until the bucket says otherwise
				a.g.disown(shardOf(s.find.Key), n.Name())
			}
			a.seekAgain(c, s, err)
		}
	})
}

func (a *agent) seekAgain(c *actor.Context, s *seeker, err error) {
	if s.finished {
		return
	}
	if !s.wanted() {
		s.finished = true
		s.ended()
		return
	}
	a.g.metrics.again.Inc()
	a.g.log.Debug("grain: asking again", "grain", s.find.Key, "error", err)
	s.pause = min(max(2*s.pause, firstPause), maxPause)
	if s.pause > soon { // its shard is between two nodes for longer
		a.inquireFor(c, s)
	}
	later(c, s.pause, func() { a.seek(c, s) })
}

// keeper is who keeps a shard, or is to keep it if nobody does who can be reached.
func (a *agent) keeper(n int) (*actor.Node, error) {
	if o, ok := a.g.ownerOf(n); ok {
		if o.node == a.g.node.Name() {
			if o.incarnation == a.g.incarnation.Load() && a.trusted {
				return a.g.sys.Node(), nil
			}
		} else if keeper, err := a.nodeOf(o.node, o.incarnation); err == nil && a.reaches(keeper) && !a.fenced(keeper) {
			return keeper, nil
		}
	}
	name := a.winners[n]
	for _, m := range a.eligible {
		if m.Name == name {
			return a.nodeOf(m.Name, m.Incarnation)
		}
	}
	return nil, ErrNoNode
}

// moved hears that what this node sends to where a grain was goes elsewhere from there. Nothing is sent until what is on its way has arrived: a message that goes the same way tells.
func (a *agent) moved(c *actor.Context, m moved) {
	g := a.g
	p := g.table.part(m.Key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byKey[m.Key]
	if l == nil || l.state != known || l.ref != m.Ref {
		c.Reply(struct{}{}, nil)
		return
	}
	a.chasing[m.Key] = c.Promise()
	a.searches[m.Key] = g.now()
	g.leave(m.Key, l)
}

// chase finds a grain that has moved by a message that follows it.
func (a *agent) chase(c *actor.Context, m chaseNow) {
	c.Detached(func() {
		c.AskFor(m.ref, chase{}, a.g.cfg.Patience, func(v any, err error) {
			delete(a.searches, m.key)
			if at, ok := v.(place); ok && err == nil && !a.g.isEmptied(at.Ref.Home()) {
				a.g.settle(m.key, at)
			} else if over, wanted := a.g.lostTrack(m.key); wanted {
				a.search(c, search{m.key, over})
			}
			a.chasing[m.key].Reply(struct{}{}, nil)
			delete(a.chasing, m.key)
		})
	})
}

// tellMoved tells a node that a grain has gone elsewhere, and the front when it knows.
func (a *agent) tellMoved(c *actor.Context, m tellMoved) {
	front := c.From()
	a.askNode(c, m.node, moved{m.key, front}, 5*time.Second, func(any, error) { c.Send(front, passedOn{m.node}) })
}
