package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// errMoved ends connections of a gate that drains. Sessions of clients that know resume wait, and go on at another gate.
var errMoved = &refusal{packet.Reason{Code: kickMoved, Msg: "the server is about to stop; go on at another one"}}

// Clients are sent away so many at a time, so that the other gates are not asked for all at once.
const (
	drainBatch = 100
	drainPause = 10 * time.Millisecond
)

// drain tells the gate's actor that it drains.
type drain struct{}

// Expendable: it has ended.
func (drain) Expendable() {}

// Drain sends all clients to other gates: with the kick moved and the addresses of these, now and whenever one comes. Sessions of clients that know resume go on there. Those of others end, when nothing that they have
// asked is unanswered. Players' agents on this node end, and have saved, when their sessions have agents elsewhere.
//
// It returns when nobody is left, or when ctx ends, with an error that tells how many are. The gate stays closed. The node should be known to drain before (cluster.Members.SetDraining), so that nobody is sent back.
func (g *Gate) Drain(ctx context.Context) error {
	g.draining.Store(true)
	tick := time.NewTicker(drainPause)
	defer tick.Stop()
	for {
		if players, ok := g.sys.Lookup(g.cfg.Name); ok {
			g.sys.Send(players, drain{})
		}
		left := g.sendAway()
		agents, err := g.playersLeft(ctx)
		if err == nil && left == 0 && agents == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("gate: drain: %d sessions and %d players are left: %w", left, agents, context.Cause(ctx))
		}
	}
}

// sendAway closes some connections, and tells how many sessions are left.
func (g *Gate) sendAway() (left int) {
	closed := 0
	for _, s := range g.cfg.Sessions.of(g) {
		left++
		if closed == drainBatch {
			continue
		}
		if s.sendAway() {
			closed++
		}
	}
	return left + g.cfg.Sessions.open(g)
}

// sendAway has the client go to another gate, if it can go now.
func (s *Session) sendAway() (gone bool) {
	s.mu.Lock()
	l, resumes, busy := s.link, s.state.resumes && s.state.in, s.state.queue.open > 0
	s.mu.Unlock()
	switch {
	case l == nil || busy && !resumes:
		return false
	case !resumes:
		s.end(errMoved)
	default:
		l.conn.CloseWith(errMoved, s.gate.farewell(errMoved))
	}
	return true
}

// playersLeft is how many players have agents here, or are about to.
func (g *Gate) playersLeft(ctx context.Context) (int, error) {
	players, ok := g.sys.Lookup(g.cfg.Name)
	if !ok {
		return 0, nil
	}
	v, err := g.sys.Ask(ctx, players, drain{})
	n, _ := v.(int)
	return n, err
}

// drain ends the agents that nobody needs, and has the sessions of the others, which are on other nodes, get agents there. It tells how many players there are.
func (p *players) drain(c *actor.Context) {
	if c.IsRequest() {
		c.Reply(len(p.byUID), nil)
		return
	}
	for _, pl := range p.byUID {
		if pl.linger != nil {
			pl.linger.Cancel()
			pl.linger = nil
		}
		if !pl.session.IsZero() {
			if s := p.gate.cfg.Sessions.Find(pl.session.ID()); s != nil && s.isElsewhere() && !pl.rehomed {
				pl.rehomed = true
				c.Send(pl.session, rehome{})
			}
			continue
		}
		p.advance(c, pl)
	}
}
