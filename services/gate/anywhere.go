package gate

import (
	"context"
	"fmt"

	"github.com/skua-go/skua/actor"
)

// forPlayer handles what is for a player who may be here, by name.
func (p *players) forPlayer(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case toPlayer:
		s := p.sessionOf(m.UID)
		c.Reply(s != nil, nil)
		if s != nil {
			s.deliver(m.relay)
		}
	case who:
		c.Reply(p.sessionOf(m.UID) != nil, nil)
	case agentsOf:
		c.Reply(p.agentsOf(m.uids), nil)
	case everywhere:
		p.everywhere(c, m.toPlayer)
	case anywhere:
		p.anywhere(c, m)
	}
}

// agentsOf asks for the agents that players have on this node.
type agentsOf struct{ uids []string }

func (p *players) agentsOf(uids []string) []actor.Ref {
	var agents []actor.Ref
	for _, uid := range uids {
		if pl := p.byUID[uid]; pl != nil && pl.stage == ready {
			agents = append(agents, pl.agent)
		}
	}
	return agents
}

// Agents are those that some players have on this node. It waits for the gate's actor.
func (g *Gate) Agents(ctx context.Context, uids []string) ([]actor.Ref, error) {
	players, ok := g.sys.Lookup(g.cfg.Name)
	if !ok {
		return nil, nil // it has not begun, or has ended: it has nobody
	}
	v, err := g.sys.Ask(ctx, players, agentsOf{uids})
	if err != nil {
		return nil, fmt.Errorf("gate: the agents of players: %w", err)
	}
	agents, _ := v.([]actor.Ref)
	return agents, nil
}

// everywhere sends a push to a player on whatever node it is.
type everywhere struct{ toPlayer }

// Expendable: a gate that ends has no players.
func (everywhere) Expendable() {}

// anywhere asks for a player on all nodes: tell is called once, in the gate's actor.
type anywhere struct {
	uid  string
	tell func(in bool)
}

// everywhere delivers a push here, or has all other nodes look.
func (p *players) everywhere(c *actor.Context, m toPlayer) {
	if s := p.sessionOf(m.UID); s != nil {
		s.deliver(m.relay)
		return
	}
	if p.gate.others == nil {
		return
	}
	for _, node := range p.gate.others.reachable() {
		c.Detached(func() { p.ask(c, node, m, func(any, error) {}) })
	}
}

// anywhere tells whether a player is in here or on another node.
func (p *players) anywhere(c *actor.Context, m anywhere) {
	if p.sessionOf(m.uid) != nil || p.gate.others == nil {
		m.tell(p.sessionOf(m.uid) != nil)
		return
	}
	nodes := p.gate.others.reachable()
	left, told := len(nodes), false
	if left == 0 {
		m.tell(false)
	}
	for _, node := range nodes {
		c.Detached(func() {
			p.ask(c, node, who{m.uid}, func(v any, _ error) {
				left--
				if in := v == true; !told && (in || left == 0) {
					told = true
					m.tell(in)
				}
			})
		})
	}
}

// sessionOf is the session of a player who is in, or what stands in for it here; nil if nobody is.
func (p *players) sessionOf(uid string) *Session {
	if pl := p.byUID[uid]; pl != nil && !pl.session.IsZero() && !pl.closing {
		return p.gate.cfg.Sessions.Find(pl.session.ID())
	}
	return p.gate.newest.find(uid).Session
}

// deliver sends a push that has been made on another node.
func (s *Session) deliver(m relay) {
	if s.send(m.Route, m.Frame, Delivery{m.Class, m.Key}, nil) {
		s.end(errOverflow)
	}
}
