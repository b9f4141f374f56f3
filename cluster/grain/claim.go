package grain

import (
	"context"
	"maps"
	"time"

	"github.com/skua-go/skua/actor"
)

// kvTimeout bounds what one step with the bucket takes.
const kvTimeout = 5 * time.Second

// do runs a step off the agent, and goes on with what it returned if the shard is still there.
func (a *agent) do(c *actor.Context, s *shard, step func(context.Context) (any, error), then func(any, error)) {
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, kvTimeout)
			defer cancel()
			return step(ctx)
		}, func(v any, err error) {
			if a.shards[s.n] == s {
				then(v, err)
			}
		})
	})
}

// claim takes a shard: from nobody, from this node's former self, or from a node that is fenced.
func (a *agent) claim(c *actor.Context, s *shard) {
	a.do(c, s, func(ctx context.Context) (any, error) { return a.g.readOwner(ctx, s.n) }, func(v any, err error) {
		if err != nil {
			a.claimAgain(c, s, err)
			return
		}
		o := v.(owner) //nolint:forcetypeassert // what the step returns
		if o.node == "" || o.node == a.g.node.Name() && o.incarnation <= a.g.incarnation.Load() {
			a.take(c, s, o)
			return
		}
		a.claimFrom(c, s, o)
	})
}

// claimFrom takes a shard from another node.
func (a *agent) claimFrom(c *actor.Context, s *shard, o owner) {
	n, err := a.nodeOf(o.node, o.incarnation)
	switch {
	case err != nil:
		a.claimAgain(c, s, err)
	case a.fenced(n):
		a.take(c, s, o)
	case a.reaches(n):
		a.dropShard(c, s) // that node has it, and gives it back when it has seen that others are to have it
	default:
		a.await(c, n, func() {
			if a.shards[s.n] == s {
				a.claim(c, s)
			}
		})
	}
}

// claimAgain tries once more, if this node is still to have the shard.
func (a *agent) claimAgain(c *actor.Context, s *shard, err error) {
	a.g.log.Warn("grain: a shard can't be taken yet", "shard", s.n, "error", err)
	later(c, maxPause, func() {
		switch {
		case a.shards[s.n] != s:
		case a.draining || !a.trusted:
			a.dropShard(c, s)
		default:
			a.claim(c, s)
		}
	})
}

// take writes this node as the owner, where the bucket has what was read.
func (a *agent) take(c *actor.Context, s *shard, from owner) {
	a.do(c, s, func(ctx context.Context) (any, error) { return a.g.takeShard(ctx, s.n, from.epoch) }, func(v any, err error) {
		if err != nil { // another was faster, or it is not known whether it is written
			a.claimAgain(c, s, err)
			return
		}
		a.g.metrics.claimed.Inc()
		a.g.owned.Add(1)
		s.epoch, s.state = v.(owner).epoch, asking //nolint:forcetypeassert // what the step returns
		a.gather(c, s)
	})
}

// gather asks all nodes that may have grains of the shard what they have.
func (a *agent) gather(c *actor.Context, s *shard) {
	a.registered(c, func(all map[string]uint64, err error) {
		if a.shards[s.n] != s {
			return
		}
		if err != nil {
			later(c, maxPause, func() {
				if a.shards[s.n] == s {
					a.gather(c, s)
				}
			})
			return
		}
		left := 1
		done := func() {
			if left--; left == 0 && a.shards[s.n] == s {
				s.state = keeping
				a.resume(s)
			}
		}
		for n := range a.others(all) {
			left++
			a.gatherFrom(c, s, n, done)
		}
		a.promised[s.n] = max(a.promised[s.n], s.epoch)
		a.merge(c, s, a.g.sys.Node(), a.holdings(s.n))
		done()
	})
}

// others are the nodes that may have grains: those whose names are registered, and those that are heard of.
func (a *agent) others(registered map[string]uint64) map[*actor.Node]struct{} {
	nodes := map[*actor.Node]struct{}{}
	add := func(name string, incarnation uint64) {
		if n, err := a.nodeOf(name, incarnation); err == nil && !a.own(n) && !a.fenced(n) {
			nodes[n] = struct{}{}
		}
	}
	for name, incarnation := range registered {
		add(name, incarnation)
	}
	for _, m := range a.g.cfg.Members.List() {
		if m.State.Reachable() {
			add(m.Name, m.Incarnation)
		}
	}
	return nodes
}

// gatherFrom asks a node what it has of the shard, until it answers or is fenced.
func (a *agent) gatherFrom(c *actor.Context, s *shard, n *actor.Node, done func()) {
	again := func() {
		if a.shards[s.n] == s {
			a.gatherFrom(c, s, n, done)
		}
	}
	switch {
	case a.fenced(n):
		done()
		return
	case !a.reaches(n):
		a.await(c, n, again)
		return
	}
	a.askNode(c, n, inventory{s.n, s.epoch}, kvTimeout, func(v any, err error) {
		has, ok := v.(holdings)
		switch {
		case a.shards[s.n] != s:
		case err == nil && ok:
			a.merge(c, s, n, has)
			done()
		case is(err, errStale):
			a.dropShard(c, s)
		case is(err, actor.ErrNoActor): // it has no grains, or not yet
			done()
		default:
			later(c, maxPause/5, again)
		}
	})
}

// merge notes what a node has. There is one activation of a grain; were there two, the older one is told to end.
func (a *agent) merge(c *actor.Context, s *shard, n *actor.Node, has holdings) {
	for _, h := range has {
		e, known := s.entries[h.Key]
		if known && e.epoch > h.Epoch {
			c.Send(n.Ref(h.ID), closeDown{})
			continue
		}
		a.enter(s, h.Key, entry{n, h.ID, h.Epoch})
	}
}

// leave gives a shard back to the bucket.
func (a *agent) leave(c *actor.Context, s *shard) {
	s.busy = true
	a.do(c, s, func(ctx context.Context) (any, error) { return nil, a.g.leaveShard(ctx, s.n, s.epoch) }, func(_ any, err error) {
		s.busy = false
		if err != nil {
			a.g.log.Warn("grain: a shard is not given back yet", "shard", s.n, "error", err)
			if o, ok := a.g.ownerOf(s.n); ok && o.node == a.g.node.Name() {
				return // it is tried again
			}
		} else {
			a.g.disown(s.n, a.g.node.Name()) // the bucket says so in a moment
		}
		a.dropShard(c, s)
	})
}

// registry is the registered names, being read for those who have asked before it was begun.
type registry struct {
	next []func(map[string]uint64, error)
}

// registered calls then with all registered names, as they are after the call.
func (a *agent) registered(c *actor.Context, then func(map[string]uint64, error)) {
	if a.registry != nil {
		a.registry.next = append(a.registry.next, then)
		return
	}
	a.registry = &registry{}
	a.readRegistry(c, []func(map[string]uint64, error){then})
}

func (a *agent) readRegistry(c *actor.Context, waiting []func(map[string]uint64, error)) {
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) {
			ctx, cancel := context.WithTimeout(ctx, kvTimeout)
			defer cancel()
			return a.g.node.Registered(ctx)
		}, func(v any, err error) {
			all, _ := v.(map[string]uint64)
			next := a.registry.next
			a.registry.next = nil
			for _, then := range waiting {
				then(maps.Clone(all), err)
			}
			next = append(next, a.registry.next...)
			if len(next) == 0 {
				a.registry = nil
				return
			}
			a.registry.next = nil
			a.readRegistry(c, next)
		})
	})
}
