package mesh

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
)

// chokes are the actors that have too much to do: those of this node, to which the other is asked to send no more, and those of the other, which has asked the same.
type chokes struct {
	p *peer

	any atomic.Bool // the other node has asked for something

	mu    sync.Mutex
	here  map[uint64]struct{}
	there map[uint64]*choked
}

type choked struct {
	since time.Time
	over  chan struct{} // closed when it is over
}

// arrived looks whether an actor of this node has too much to do.
func (c *chokes) arrived(id uint64) {
	info, ok := c.p.m.sys.Inspect(c.p.m.sys.RefOf(id))
	if !ok || info.Waiting < c.p.m.cfg.ChokeAt {
		return
	}
	c.mu.Lock()
	_, known := c.here[id]
	if !known {
		if c.here == nil {
			c.here = map[uint64]struct{}{}
		}
		c.here[id] = struct{}{}
	}
	c.mu.Unlock()
	if !known {
		c.p.m.metrics.choked.Inc()
		c.p.out.add(appendTo(nil, frameChoke, c.p.m.sys.RefOf(id)))
		c.p.arm()
	}
}

// look lets those go on who send to actors that have caught up. It tells whether there are others.
func (c *chokes) look() bool {
	c.mu.Lock()
	if len(c.here) == 0 {
		c.mu.Unlock()
		return false
	}
	ids := make([]uint64, 0, len(c.here))
	for id := range c.here {
		ids = append(ids, id)
	}
	c.mu.Unlock()
	for _, id := range ids {
		ref := c.p.m.sys.RefOf(id)
		if info, ok := c.p.m.sys.Inspect(ref); ok && info.Waiting > c.p.m.cfg.ChokeAt/4 {
			continue
		}
		c.mu.Lock()
		delete(c.here, id)
		c.mu.Unlock()
		c.p.out.add(appendTo(nil, frameUnchoke, ref))
	}
	return true
}

// chokeFor is how long after an actor was choked those who send to it wait. After that it is stuck, or far too slow, and they are refused at once.
const chokeFor = 250 * time.Millisecond

// maxChoked bounds what another node can have this one remember.
const maxChoked = 1 << 20

// told notes what the other node asks for.
func (c *chokes) told(id uint64, on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	was := c.there[id]
	switch {
	case on && was == nil && len(c.there) < maxChoked:
		if c.there == nil {
			c.there = map[uint64]*choked{}
		}
		c.there[id] = &choked{since: time.Now(), over: make(chan struct{})}
	case !on && was != nil:
		delete(c.there, id)
		close(was.over)
	}
	c.any.Store(len(c.there) > 0)
}

// refuses tells whether an actor of the other node takes nothing now. Whoever wants to send there waits as long as that may be over soon: the actor works, but more slowly than
// others send.
func (c *chokes) refuses(to actor.Ref) bool {
	if !c.any.Load() {
		return false
	}
	c.mu.Lock()
	is := c.there[to.ID()]
	c.mu.Unlock()
	if is == nil {
		return false
	}
	left := chokeFor - time.Since(is.since)
	if left <= 0 {
		return true
	}
	wait := time.NewTimer(left)
	defer wait.Stop()
	select {
	case <-is.over:
		return false
	case <-wait.C:
		return true
	}
}

// clear forgets everything. That an actor here takes nothing may still be on its way to the other node, and nobody would take it back.
func (c *chokes) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, is := range c.there {
		close(is.over)
	}
	for id := range c.here {
		c.p.out.add(appendTo(nil, frameUnchoke, c.p.m.sys.RefOf(id)))
	}
	c.here, c.there = nil, nil
	c.any.Store(false)
}
