package grain

import (
	"context"

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
		h.hurry.Store(true)
		if h.state == isEnding { // it has gone, or is about to
			c.Send(h.front, closeDown{})
			continue
		}
		a.toClose = append(a.toClose, h)
	}
	a.adopt()
	a.giveBack(c)
	a.closeMore(c)
	a.lookDrained()
}

// adopt has those shards given back, too, that are this node's by the bucket but that it has lost its directory of: nobody else could take them until it has left.
func (a *agent) adopt() {
	for n := range a.shards {
		o, ok := a.g.ownerOf(n)
		if ok && a.shards[n] == nil && o.node == a.g.node.Name() && o.incarnation == a.g.incarnation.Load() {
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

// lookDrained answers who waits when there is nothing left.
func (a *agent) lookDrained() {
	if !a.draining || len(a.fronts) > 0 || a.shards != [Shards]*shard{} {
		return
	}
	for _, p := range a.drained {
		p.Reply(struct{}{}, nil)
	}
	a.drained = nil
}
