package grain

import (
	"context"
	"errors"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
)

// absence is a node that can't be reached: what it had is somewhere else only when it is fenced, which means that it knows that it must not act.
//
// It is fenced when it has said goodbye, when its name is not registered any more or under another incarnation (a node trusts its name for less long than the registration
// lasts), or when it was without a connection to NATS for longer than it goes on without one, and evicting it from the registry has
// succeeded. A node that has a connection but does not answer is waited for until its registration ends.
//
// That it was without a connection all the time follows from looking often enough: a node counts on a new connection only when that has lasted for longer than two looks are apart.
type absence struct {
	fenced  bool
	looking bool
	last    sight         // when it had no connection; else nothing
	unheard time.Duration // when it was known first to have no connection; 0 if that is not known
	waiting []func()
}

// margin is what a node is given more than it takes for itself.
const margin = 250 * time.Millisecond

// lookAfter is how long a node is not looked after once that has been done: often enough that no steady connection is missed.
func (cfg *Config) lookAfter() time.Duration { return min(cfg.Cut/16, 250*time.Millisecond) }

// fenced tells whether a node is known to be.
func (a *agent) fenced(n *actor.Node) bool {
	s := a.absences[n]
	return s != nil && s.fenced
}

// await calls f when a node is fenced, or can be reached again.
func (a *agent) await(c *actor.Context, n *actor.Node, f func()) {
	a.look(c, n)
	s := a.absences[n]
	if s.fenced {
		f()
		return
	}
	s.waiting = append(s.waiting, f)
}

// look finds out whether a node is fenced, for as long as it can't be reached or is suspected.
func (a *agent) look(c *actor.Context, n *actor.Node) {
	if a.own(n) {
		return
	}
	s := a.absences[n]
	if s == nil {
		s = &absence{}
		a.absences[n] = s
	}
	if !s.fenced && !s.looking {
		s.looking = true
		a.lookOnce(c, n, s)
	}
}

// sight is what was seen of a node.
type sight struct {
	fenced, unplugged bool
	asked, answered   time.Duration // when it was found to be without a connection
}

func (a *agent) lookOnce(c *actor.Context, n *actor.Node, s *absence) {
	dead, last, unheard := !a.reaches(n), s.last, s.unheard
	evict := func(now sight) bool {
		return dead && unheard != 0 && now.answered-last.asked <= a.g.cfg.steady() && now.answered-unheard > a.g.cfg.Cut+margin
	}
	c.Detached(func() {
		c.Go(func(ctx context.Context) (any, error) { return a.g.sight(ctx, n, evict) }, func(v any, err error) {
			now, _ := v.(sight)
			switch {
			case err != nil:
				a.g.log.Debug("grain: a node can't be looked after", "member", n.Name(), "error", err)
			case !now.unplugged:
				s.unheard = 0
			case s.unheard == 0 || now.answered-s.last.asked > a.g.cfg.steady(): // it may have had one meanwhile
				s.unheard = now.answered
			}
			if now.unplugged {
				s.last = now
			}
			a.saw(c, n, s, now.fenced)
		})
	})
}

// saw goes on with what is known of a node.
func (a *agent) saw(c *actor.Context, n *actor.Node, s *absence, fenced bool) {
	if fenced {
		a.g.log.Info("grain: a node is fenced: what it had may be started elsewhere", "member", n.Name(), "incarnation", n.Incarnation())
		a.g.metrics.fencedNodes.Inc()
		s.fenced = true
		a.lookMembers()
	}
	if !fenced && !a.reaches(n) {
		later(c, a.g.cfg.lookAfter(), func() { a.lookOnce(c, n, s) })
		return
	}
	if m, ok := a.g.cfg.Members.Find(n.Name()); !fenced && ok && m.Incarnation == n.Incarnation() && m.State == cluster.Suspect {
		later(c, a.g.cfg.lookAfter(), func() { a.lookOnce(c, n, s) }) // it may be dead soon
	} else {
		s.looking, s.unheard = false, 0
	}
	waiting := s.waiting
	s.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// sight looks whether a node is connected and registered, and evicts it if that is asked for. It blocks for some 2 s at most.
func (g *Grains) sight(ctx context.Context, n *actor.Node, evict func(sight) bool) (sight, error) {
	m, known := g.cfg.Members.Find(n.Name())
	if known && (m.Incarnation > n.Incarnation() || m.Incarnation == n.Incarnation() && m.State == cluster.Left) {
		return sight{fenced: true}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	ended, err := g.node.Ended(ctx, n.Name(), n.Incarnation())
	if err != nil {
		return sight{}, err
	}
	if ended {
		return sight{fenced: true}, nil
	}
	ping, stop := context.WithTimeout(ctx, 500*time.Millisecond)
	defer stop()
	asked := g.now()
	info, err := g.node.Ping(ping, n.Name())
	now := sight{unplugged: true, asked: asked, answered: g.now()}
	switch {
	case err == nil && info.Incarnation > n.Incarnation():
		return sight{fenced: true}, nil
	case !errors.Is(err, cluster.ErrNoNode):
		return sight{}, nil
	case !evict(now):
		return now, nil
	}
	if err := g.node.Evict(ctx, n.Name(), n.Incarnation()); err != nil { // it renews its name, or another process takes it
		return now, err
	}
	return sight{fenced: true}, nil
}
