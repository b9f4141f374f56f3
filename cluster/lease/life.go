package lease

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/cluster"
)

// remembered is how long the end of a node is known. Its leases have ended by then.
const remembered = 10 * time.Minute

// life tells whether this node can be seen by others, and which others can't be.
type life struct {
	cfg  *Config
	node *cluster.Node
	base time.Time
	seen atomic.Pointer[sight]

	mu       sync.Mutex
	unbroken time.Time // since when there was one all the time
	opened   time.Time
	own      uint64
	former   map[uint64]struct{} // incarnations that this process has had
	silent   map[place]time.Time // since when a node is not heard of; zero if it has left
}

// sight is for how long others have seen this node. It is not changed.
type sight struct {
	since time.Time // when it was seen again after others could have taken it for dead
	last  time.Time // when the newest round trip to NATS began that came back
}

func newLife(cfg *Config, n *cluster.Node) *life {
	now := time.Now()
	f := &life{cfg: cfg, node: n, base: now, unbroken: now, opened: now, former: map[uint64]struct{}{}, silent: map[place]time.Time{}}
	f.seen.Store(&sight{now, now})
	return f
}

// run asks the server for a sign of life now and then, until ctx ends.
func (f *life) run(ctx context.Context) {
	every := max(f.cfg.Dead/6, 10*time.Millisecond)
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		begun := time.Now()
		if err := f.node.Conn().FlushTimeout(max(f.cfg.Dead/3, minAttempt)); err == nil {
			f.beaten(begun)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// beaten notes a round trip to NATS that began then.
func (f *life) beaten(begun time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := *f.seen.Load()
	if !begun.After(s.last) {
		return
	}
	if begun.Sub(s.last) > f.cfg.Dead/2 {
		f.unbroken = begun
	}
	if begun.After(s.last.Add(f.cfg.unseen())) {
		s.since = begun
	}
	s.last = begun
	f.seen.Store(&s)
}

// seenUntil is until when nobody can have taken over what this node took then, as things are. A node that is seen again does not get back what others may have: who holds it may not have had the time to
// notice, as when the process was paused.
func (f *life) seenUntil(taken time.Time) time.Time {
	s := f.seen.Load()
	if taken.Before(s.since) {
		return taken
	}
	return s.last.Add(f.cfg.unseen())
}

// become notes the node's own incarnation.
func (f *life) become(incarnation uint64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.own = incarnation
	f.former[incarnation] = struct{}{}
}

// heard notes what has become of another node.
func (f *life) heard(e cluster.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, now := place{e.Member.Name, e.Member.Incarnation}, time.Now()
	switch e.Member.State {
	case cluster.Alive, cluster.Suspect:
		delete(f.silent, p)
		return
	case cluster.Left:
		f.silent[p] = time.Time{}
	case cluster.Dead:
		if _, known := f.silent[p]; !known {
			f.silent[p] = now
		}
	}
	for p, since := range f.silent {
		if !since.IsZero() && now.Sub(since) > remembered {
			delete(f.silent, p)
		}
	}
	if len(f.silent) > maxSilent {
		for p, since := range f.silent {
			if since.IsZero() {
				delete(f.silent, p) // what it had it has given back
			}
		}
	}
}

// maxSilent bounds the nodes whose end is remembered before those are forgotten that have said goodbye.
const maxSilent = 4096

// gone tells whether a holder may be replaced whose newest write came then, or else when to look again, if that is known.
func (f *life) gone(p place, wrote, now time.Time) (bool, time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var at time.Time
	since, silent := f.silent[p]
	_, former := f.former[p.Incarnation]
	switch {
	case p.Node == f.node.Name() && p.Incarnation >= f.own:
		return false, time.Time{}
	case p.Node == f.node.Name() && former:
		return true, now // this process has given up what it had
	case p.Node == f.node.Name():
		// A former process of this name was without a connection before the name was given anew, but maybe not for as long as it trusts its leases.
		at = f.opened.Add(f.cfg.Grace)
	case !silent:
		return false, time.Time{}
	case since.IsZero():
		return true, now
	case now.Sub(f.seen.Load().last) > f.cfg.Dead/2:
		return false, now.Add(f.cfg.Dead / 6) // this node may be cut off itself
	default:
		at = since.Add(f.cfg.Grace)
		// While this node was cut off it would not have heard; and what the other writes when it is back may come before its heartbeat.
		for _, alive := range []time.Time{f.unbroken, wrote} {
			if sure := alive.Add(f.cfg.Dead + f.cfg.Grace); sure.After(at) {
				at = sure
			}
		}
	}
	return !now.Before(at), at
}
