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
	if _, searching := a.searches[m.which()]; searching {
		return
	}
	a.searches[m.which()] = a.g.now()
	a.ask(c, m, firstPause)
}

// ask asks who keeps the shard, or is to keep it.
func (a *agent) ask(c *actor.Context, m search, pause time.Duration) {
	n, err := a.keeper(shardOf(m.key))
	if err != nil {
		a.askAgain(c, m, pause, err)
		return
	}
	a.askNode(c, n, find{m.key, m.over}, a.g.cfg.Patience, func(v any, err error) {
		at, ok := v.(place)
		switch {
		case err == nil && ok:
			delete(a.searches, m.which())
			a.g.metrics.found.Inc()
			a.g.settle(m.table, m.key, at)
		case is(err, ErrKind, ErrStart, ErrNoNode, actor.ErrOverloaded):
			delete(a.searches, m.which())
			a.g.unsettle(m.table, m.key, err)
		default: // that node does not keep it any more, or can't be reached
			a.askAgain(c, m, pause, err)
		}
	})
}

// askAgain goes on with a search, as long as somebody waits.
func (a *agent) askAgain(c *actor.Context, m search, pause time.Duration, err error) {
	if !a.g.expire(m.table, m.key) {
		delete(a.searches, m.which())
		return
	}
	a.g.metrics.again.Inc()
	a.g.log.Debug("grain: asking again", "grain", m.key, "error", err)
	later(c, pause, func() { a.ask(c, m, min(2*pause, maxPause)) })
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
	l.state = switching
	l.over = max(l.over, l.epoch)
	a.chasing[m.Key] = c.Promise()
	a.searches[searched{g.table, m.Key}] = g.now()
	l.chased = func() { g.sys.Send(g.agent, chaseNow{m.Key, m.Ref}) }
	if l.sending == 0 {
		l.chased()
		l.chased = nil
	}
}

// chase finds a grain that has moved by a message that follows it.
func (a *agent) chase(c *actor.Context, m chaseNow) {
	c.Detached(func() {
		c.AskFor(m.ref, chase{}, a.g.cfg.Patience, func(v any, err error) {
			t := a.g.table
			delete(a.searches, searched{t, m.key})
			if at, ok := v.(place); ok && err == nil {
				a.g.settle(t, m.key, at)
			} else if over, wanted := a.g.lostTrack(t, m.key); wanted {
				a.search(c, search{t, m.key, over})
			}
			a.chasing[m.key].Reply(struct{}{}, nil)
			delete(a.chasing, m.key)
		})
	})
}

// tellMoved tells a node that a grain has gone elsewhere, and the front when it knows.
func (a *agent) tellMoved(c *actor.Context, m tellMoved) {
	front := c.From()
	a.askNode(c, m.node, moved{m.key, front}, 5*time.Second, func(any, error) { c.Send(front, passedOn{}) })
}
