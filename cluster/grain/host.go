package grain

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
)

// hosted is an activation on this node.
type hosted struct {
	key     string
	epoch   uint64
	front   actor.Ref
	state   hostedState
	next    []func(err error) // what waits until it has started, or ended
	hurry   atomic.Bool       // its front is to stay no longer than it is needed
	drained bool              // it is one of those that are being moved
}

type hostedState uint8

const (
	isStarting hostedState = iota
	isActive
	isEnding
)

// activate starts a grain here on behalf of who keeps its shard. If it is here already, that is the answer.
func (a *agent) activate(c *actor.Context, m activate) { a.start(c, m, c.Promise()) }

func (a *agent) start(c *actor.Context, m activate, promise actor.Promise) {
	n := shardOf(m.Key)
	if m.Owner < a.promised[n] || m.Owner < a.g.seenEpoch(n) {
		promise.Reply(nil, errStale)
		return
	}
	a.promised[n] = m.Owner
	k, id := a.g.kindOf(m.Key)
	if k == nil {
		promise.Reply(nil, ErrKind)
		return
	}
	if h := a.hosted[n][m.Key]; h != nil {
		if h.state == isActive && a.trusted {
			promise.Reply(place{h.front, h.epoch}, nil)
			return
		}
		h.next = append(h.next, func(err error) { a.started(c, h, m, promise, err) })
		return
	}
	if !a.trusted || a.draining || k.New == nil {
		promise.Reply(nil, ErrNotHere)
		return
	}
	h := &hosted{key: m.Key, epoch: m.Epoch}
	front, err := c.Spawn(h.spec(a.g, k, id))
	if err != nil {
		promise.Reply(nil, fmt.Errorf("%w: %s: %w", ErrStart, m.Key, err))
		return
	}
	h.front = front
	c.Watch(front)
	if a.hosted[n] == nil {
		a.hosted[n] = map[string]*hosted{}
	}
	a.hosted[n][m.Key] = h
	a.fronts[front] = h
	h.next = append(h.next, func(err error) { a.started(c, h, m, promise, err) })
}

// errEnded is when an activation has ended before anybody was told of it: an epoch is for one only, so whoever keeps the shard asks once more, with another.
var errEnded = errors.New("grain: the activation has ended")

// started goes on with a request to start a grain when the one that is here, h, has started or ended, or could not start.
func (a *agent) started(c *actor.Context, h *hosted, m activate, promise actor.Promise, err error) {
	if err == nil && h.state == isEnding && m.Epoch <= h.epoch {
		err = errEnded
	}
	if err != nil {
		promise.Reply(nil, err)
		return
	}
	a.start(c, m, promise)
}

// opened hears that a grain has started.
func (a *agent) opened(c *actor.Context, h *hosted) {
	if h.state != isStarting {
		return
	}
	h.state = isActive
	a.g.active.Add(1)
	a.g.metrics.activated.Inc()
	h.goOn(nil)
	if a.draining {
		a.toClose = append(a.toClose, h)
		a.closeMore(c)
	}
}

func (h *hosted) goOn(err error) {
	next := h.next
	h.next = nil
	for _, f := range next {
		f(err)
	}
}

// ended hears that the actor of a grain has ended: the directory is to forget it, and then its front passes on what comes.
func (a *agent) ended(c *actor.Context, h *hosted, failure error) {
	if h.state == isStarting {
		a.g.metrics.failed.Inc()
		a.g.log.Warn("grain: a grain did not start", "grain", h.key, "error", failure)
		h.state = isEnding
		a.remove(h)
		h.goOn(fmt.Errorf("%w: %s: %w", ErrStart, h.key, failure))
		c.Stop(h.front, nil)
		return
	}
	if h.state == isActive {
		a.g.active.Add(-1)
	}
	h.state = isEnding
	a.forgetAt(c, h, 3)
}

// forgetAt has who keeps the shard forget an activation. When nobody keeps it, or who does can't be reached, it is found out when the grain is looked for.
func (a *agent) forgetAt(c *actor.Context, h *hosted, tries int) {
	n := shardOf(h.key)
	o, ok := a.g.ownerOf(n)
	keeper, err := a.nodeOf(o.node, o.incarnation)
	if !ok || err != nil || !a.reaches(keeper) || tries == 0 {
		a.releaseFront(c, h)
		return
	}
	a.askNode(c, keeper, forget{h.key, h.epoch}, time.Second, func(_ any, err error) {
		if err == nil {
			a.releaseFront(c, h)
			return
		}
		later(c, maxPause/5, func() { a.forgetAt(c, h, tries-1) })
	})
}

func (a *agent) releaseFront(c *actor.Context, h *hosted) {
	a.remove(h)
	c.Send(h.front, released{})
	h.goOn(nil)
	if h.drained {
		h.drained = false
		a.closing--
		a.closeMore(c)
	}
}

// remove takes an activation out of what is here.
func (a *agent) remove(h *hosted) {
	n := shardOf(h.key)
	if a.hosted[n][h.key] == h {
		delete(a.hosted[n], h.key)
	}
}

// frontEnded hears that a front has: after its grain has gone, or because it was stopped.
func (a *agent) frontEnded(c *actor.Context, ref actor.Ref) {
	h := a.fronts[ref]
	if h == nil {
		return
	}
	delete(a.fronts, ref)
	if h.state == isActive {
		a.g.active.Add(-1)
	}
	h.state = isEnding
	if a.hosted[shardOf(h.key)][h.key] == h { // it has not told of its end: it was stopped, or killed
		a.forgetAt(c, h, 1)
	}
	if len(a.fronts) == 0 {
		a.lookTrust(c)
		a.lookDrained(c)
	}
}

// inventory answers what is here of a shard, and refuses from now on what its former owners want.
func (a *agent) inventory(c *actor.Context, m inventory) {
	if m.Owner < a.promised[m.Shard] {
		c.Reply(nil, errStale)
		return
	}
	a.promised[m.Shard] = m.Owner
	if s := a.shards[m.Shard]; s != nil && s.state >= asking && s.epoch < m.Owner {
		a.dropShard(c, s)
	}
	c.Reply(a.holdings(m.Shard), nil)
}

func (a *agent) holdings(n int) holdings {
	has := make(holdings, 0, len(a.hosted[n]))
	for key, h := range a.hosted[n] {
		has = append(has, holding{Key: key, Epoch: h.epoch, ID: h.front.ID()})
	}
	return has
}

// stopAll ends all grains: they save what they have, but for no longer than it takes until others may have them.
func (a *agent) stopAll(c *actor.Context) {
	for ref := range a.fronts {
		c.Stop(ref, ErrNotHere)
	}
	later(c, stopWithin, func() {
		if a.trusted {
			return
		}
		for ref := range a.fronts {
			c.Kill(ref, ErrNotHere)
		}
	})
}

// stopWithin is how long grains have to save when the node can't prove its name any more: a part of what is left until others may have it.
const stopWithin = 2 * time.Second
