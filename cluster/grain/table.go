package grain

import (
	"slices"
	"sync"
	"time"

	"github.com/skua-go/skua/actor"
)

// table is where grains are, as far as this node has found out, and what waits until it has.
//
// Messages of one actor to one grain must stay in order, though some wait and some need not. So whoever has a message waiting sends no other one past it, which is what
// behind counts; and when a grain has moved, what was sent where it was is let through before anything is sent where it is, which is what switching is for.
type table struct{ parts [64]part }

type part struct {
	mu    sync.Mutex
	byKey map[string]*location
}

// location is what is known of one grain. The lock of its part guards it.
type location struct {
	ref     actor.Ref
	epoch   uint64
	over    uint64 // activations up to this epoch are known to have ended
	state   locationState
	used    time.Duration // when something was sent there last
	sending int32         // are about to send something there
	waiters []*waiter
	behind  map[actor.Ref][]*waiter // the messages of each sender that have waited, and were not sent yet
	chased  func()                  // to be called when nobody is about to send, while switching
}

type locationState uint8

const (
	unknown   locationState = iota
	resolving               // the agent finds out
	known
	switching // it is known, but what was sent to a former place is on its way still
)

// waiter is a message that waits.
type waiter struct {
	until time.Duration
	err   error  // why it can't be sent
	wake  func() // has the sender go on
}

// fresh is for how long a place is believed after something was sent there last. A grain that goes to sleep has had no message for longer, and one that moves tells those
// who have sent it something since, so nothing is sent to where a grain was long ago.
const fresh = 10 * time.Second

// believed is for how long a place of a grain of the kind is.
func (k *Kind) believed() time.Duration {
	if k.Idle > 0 {
		return min(fresh, k.Idle/3)
	}
	return fresh
}

func newTable() *table {
	t := &table{}
	for i := range t.parts {
		t.parts[i].byKey = map[string]*location{}
	}
	return t
}

func (t *table) part(key string) *part { return &t.parts[hash(key, "")>>32%uint64(len(t.parts))] }

// location is what is known of a grain. The lock is held.
func (p *part) location(key string) *location {
	l := p.byKey[key]
	if l == nil {
		l = &location{}
		p.byKey[key] = l
	}
	return l
}

// believe tells whether what is known of a grain is good enough to send there.
func (g *Grains) believe(l *location, k *Kind, now time.Duration) bool {
	if l.state != known {
		return false
	}
	if now-l.used <= k.believed() && g.reaches(l.ref) {
		return true
	}
	l.state = unknown
	return false
}

// sent notes that something has been sent, or not after all. The lock is held.
func (l *location) sent() {
	l.sending--
	if l.sending == 0 && l.chased != nil {
		chased := l.chased
		l.chased = nil
		chased()
	}
}

// isFirst tells whether a message is the oldest one of its sender that has waited. The lock is held.
func (l *location) isFirst(sender actor.Ref, w *waiter) bool {
	all := l.behind[sender]
	return len(all) == 0 || all[0] == w // none are known if the location was forgotten meanwhile
}

// goes notes that a message waits no more. The lock is held.
func (l *location) goes(sender actor.Ref, w *waiter) {
	all := l.behind[sender]
	switch i := slices.Index(all, w); {
	case i < 0:
	case len(all) == 1:
		delete(l.behind, sender)
	case i == 0:
		all[0] = nil
		l.behind[sender] = all[1:]
	default:
		l.behind[sender] = slices.Delete(all, i, i+1)
	}
}

// takeWaiters ends the wait of all. The lock is held.
func (l *location) takeWaiters() []*waiter {
	all := l.waiters
	l.waiters = nil
	return all
}

// found notes where a grain is. When something was sent to another place, that is let through before, however long ago it was: it may wait there for what is slow now. false says that it has to be chased from there,
// by chaseNow.
func (g *Grains) found(key string, at place) (former actor.Ref, settled bool) {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.location(key)
	if former = l.ref; !former.IsZero() && former != at.Ref && g.reaches(former) {
		if l.state == switching {
			return former, false // it is chased already
		}
		g.leave(key, l)
		return former, false
	}
	g.settleNow(l, at)
	return former, true
}

// leave has nothing sent any more to where a grain is known to be, until that is chased. The lock is held.
func (g *Grains) leave(key string, l *location) {
	l.state = switching
	l.over = max(l.over, l.epoch)
	former := l.ref
	l.chased = func() { g.sys.Send(g.agent, chaseNow{key, former}) }
	if l.sending == 0 {
		l.chased()
		l.chased = nil
	}
}

// noteEmptied has no grain believed to be on a node any more.
func (g *Grains) noteEmptied(home *actor.Node) { g.emptied.Store(home, struct{}{}) }

func (g *Grains) isEmptied(home *actor.Node) bool {
	_, emptied := g.emptied.Load(home)
	return emptied
}

// leaveAll has nothing sent any more to grains that were on a node, and tells which those are to which something may be on its way.
func (g *Grains) leaveAll(home *actor.Node) (keys []string) {
	for i := range g.table.parts {
		p := &g.table.parts[i]
		p.mu.Lock()
		for key, l := range p.byKey {
			if g.goneFrom(key, l, home) {
				continue
			}
			keys = append(keys, key)
			if l.state == known || l.state == unknown {
				g.leave(key, l)
			}
		}
		p.mu.Unlock()
	}
	return keys
}

// hasLeft tells whether nothing is on its way from here to where a grain was on a node.
func (g *Grains) hasLeft(key string, home *actor.Node) bool {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.byKey[key]
	return l == nil || g.goneFrom(key, l, home)
}

// goneFrom is hasLeft with the lock held.
func (g *Grains) goneFrom(key string, l *location, home *actor.Node) bool {
	if l.ref.Home() != home {
		return true
	}
	k, _ := g.kindOf(key)
	return l.state <= resolving && l.sending == 0 && g.now()-l.used > k.believed()+transit
}

func (g *Grains) reaches(ref actor.Ref) bool {
	home := ref.Home()
	return !ref.IsRemote() || g.cfg.Mesh.Reaches(home.Name(), home.Incarnation())
}

// settle notes where a grain is, and lets those go on who wait.
func (g *Grains) settle(key string, at place) {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	g.settleNow(p.location(key), at)
}

func (g *Grains) settleNow(l *location, at place) {
	l.ref, l.epoch, l.state, l.used, l.chased = at.Ref, at.Epoch, known, g.now(), nil
	g.wake(l.takeWaiters(), nil)
}

// unsettle ends the wait for a grain that can't be found.
func (g *Grains) unsettle(key string, err error) {
	p := g.table.part(key)
	p.mu.Lock()
	l := p.location(key)
	l.state = unknown
	g.wake(l.takeWaiters(), err)
	p.mu.Unlock()
}

// wake lets waiters go on, in order. The lock is held, so that nobody comes in between.
func (g *Grains) wake(all []*waiter, err error) {
	g.waiting.Add(-int64(len(all)))
	for _, w := range all {
		w.err = err
		w.wake()
	}
}

// expire ends the wait of those whose time has passed, and tells whether others wait.
func (g *Grains) expire(key string) bool {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.location(key)
	now := g.now()
	var left, late []*waiter
	for _, w := range l.waiters {
		if w.until <= now {
			late = append(late, w)
		} else {
			left = append(left, w)
		}
	}
	l.waiters = left
	g.wake(late, &actor.Error{Code: actor.Deadline, Actor: key, Text: "the grain could not be found or started"})
	if len(left) == 0 && l.state == resolving {
		l.state = unknown
	}
	return len(left) > 0
}

// over notes that an activation is not where it was thought to be.
func (g *Grains) over(key string, ref actor.Ref, epoch uint64) {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.location(key)
	l.over, l.used = max(l.over, epoch), g.now()
	if l.ref == ref && l.state <= known {
		l.ref = actor.Ref{} // there is nothing to be let through
		if l.state == known {
			l.state = unknown
		}
	}
}

// lostTrack notes that nobody knows where a grain has moved to, and tells whether somebody waits for it.
func (g *Grains) lostTrack(key string) (over uint64, wanted bool) {
	p := g.table.part(key)
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.location(key)
	l.state, l.ref = unknown, actor.Ref{}
	if len(l.waiters) > 0 {
		l.state = resolving
	}
	return l.over, l.state == resolving
}

// sweep forgets what nobody has used for long. It does a part of the table at a time.
func (g *Grains) sweep(n int) {
	p := &g.table.parts[n%len(g.table.parts)]
	now := g.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	for key, l := range p.byKey {
		idle := now - l.used
		if idle > 2*fresh && len(l.waiters) == 0 && l.sending == 0 && l.state <= known && l.state != resolving && (len(l.behind) == 0 || idle > 6*fresh) {
			delete(p.byKey, key)
		}
	}
}

// reset has all that waits fail: the agent that was to find it has failed.
func (g *Grains) reset(err error) {
	for i := range g.table.parts {
		p := &g.table.parts[i]
		p.mu.Lock()
		for _, l := range p.byKey {
			l.state = unknown
			g.wake(l.takeWaiters(), err)
		}
		p.mu.Unlock()
	}
}
