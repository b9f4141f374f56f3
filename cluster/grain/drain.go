package grain

import (
	"context"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
)

// Drain moves the grains and the shards of this node to others, which it tells that it drains: each grain is stopped when it has handled what it was sent so far, which saves it, and what comes after goes to where it is next,
// in order. It blocks until that is done, nothing is sent here any more and nobody waits for what was passed on, or until ctx ends. After it this node has no grains until it is
// started anew; it still reaches those of others.
func (g *Grains) Drain(ctx context.Context) error {
	g.cfg.Members.SetDraining(true)
	_, err := g.sys.Ask(ctx, g.agent, drain{})
	return err
}

// closeAtOnce is how many grains are moved at a time.
const closeAtOnce = 512

// drain begins to move all that is here.
func (a *agent) drain(c *actor.Context) {
	a.drained = append(a.drained, c.Promise())
	if a.draining {
		return
	}
	a.draining = true
	a.lookMembers()
	for _, h := range a.fronts {
		if h.state != isEnding { // else it has gone, or is about to
			a.toClose = append(a.toClose, h)
		}
	}
	a.giveBack(c)
	a.closeMore(c)
	a.lookDrained(c)
}

// adopt has those shards given back, too, that are this node's by the bucket but that it has lost its directory of, and that others are to have: nobody else could take them until it has left.
func (a *agent) adopt() {
	for n := range a.shards {
		if a.shards[n] != nil || !a.draining && (a.winners[n] == "" || a.winners[n] == a.g.node.Name()) {
			continue
		}
		o, ok := a.g.ownerOf(n)
		if ok && o.node == a.g.node.Name() && o.incarnation == a.g.incarnation.Load() {
			a.shards[n] = &shard{n: n, state: leaving, epoch: o.epoch}
			a.g.owned.Add(1)
		}
	}
}

// closeMore has some more grains end.
func (a *agent) closeMore(c *actor.Context) {
	for a.closing < closeAtOnce && len(a.toClose) > 0 {
		h := a.toClose[0]
		a.toClose = a.toClose[1:]
		if h.state != isActive {
			continue // it ends already, or tells when it has started
		}
		a.closing++
		a.g.active.Add(-1)
		a.g.metrics.closed.WithLabelValues("drain").Inc()
		h.state, h.drained = isEnding, true
		c.Send(h.front, closeDown{})
	}
}

// lookDrained goes on with a drain when nothing is left of its current part: first all grains end, then all nodes are told so, then their fronts end, which have passed on what came late.
func (a *agent) lookDrained(c *actor.Context) {
	switch {
	case !a.draining || a.shards != [Shards]*shard{} || a.hosts():
	case !a.emptied:
		a.tellEmptied(c)
	case len(a.fronts) == 0:
		for _, p := range a.drained {
			p.Reply(struct{}{}, nil)
		}
		a.drained = nil
	}
}

// hosts tells whether there are activations here.
func (a *agent) hosts() bool {
	for _, all := range &a.hosted {
		if len(all) > 0 {
			return true
		}
	}
	return false
}

// tellEmptied tells all nodes that there are no grains here any more, and lets the fronts end when all send nothing more here. A node that was told by a directory where a grain is may have done nothing with it yet, so
// it is not enough to tell those that have sent something.
func (a *agent) tellEmptied(c *actor.Context) {
	if a.telling > 0 {
		return
	}
	if a.told == nil {
		a.told = map[*actor.Node]struct{}{}
	}
	left := false
	for _, m := range a.members {
		n, err := a.nodeOf(m.Name, m.Incarnation)
		if _, told := a.told[n]; err != nil || told || !a.reaches(n) {
			continue
		}
		left = true
		a.telling++
		a.askNode(c, n, emptied{}, 5*time.Second, func(_ any, err error) {
			a.telling--
			if err == nil || is(err, actor.ErrNoActor) {
				a.told[n] = struct{}{}
			}
		})
	}
	if left {
		return // it is looked at again
	}
	a.emptied = true
	for ref, h := range a.fronts {
		h.hurry.Store(true)
		c.Send(ref, closeDown{})
	}
}

// nodeEmptied hears from a node that there are no grains there any more: answered when this node sends nothing there any more, and what it has sent was passed on.
func (a *agent) nodeEmptied(c *actor.Context) {
	home := c.From().Home()
	a.g.noteEmptied(home)
	promise := c.Promise()
	keys := a.g.leaveAll(home)
	for _, key := range keys {
		if _, searching := a.searches[key]; !searching {
			a.searches[key] = a.g.now()
		}
	}
	a.awaitLeft(c, home, keys, promise)
}

// awaitLeft answers when nothing is sent any more to grains that were on a node.
func (a *agent) awaitLeft(c *actor.Context, home *actor.Node, keys []string, promise actor.Promise) {
	keys = slices.DeleteFunc(keys, func(key string) bool { return a.g.hasLeft(key, home) })
	if len(keys) == 0 {
		promise.Reply(struct{}{}, nil)
		return
	}
	if promise.Open() {
		later(c, 2*firstPause, func() { a.awaitLeft(c, home, keys, promise) })
	}
}
