package gate

import (
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
	}
}

// sessionOf is the session of a player who is in, or what stands in for it here; nil if nobody is.
func (p *players) sessionOf(uid string) *Session {
	if pl := p.byUID[uid]; pl != nil && !pl.session.IsZero() && !pl.closing {
		return p.gate.cfg.Sessions.Find(pl.session.ID())
	}
	return p.gate.newest.find(uid)
}

// deliver sends a push that has been made on another node.
func (s *Session) deliver(m relay) {
	if s.send(m.Route, m.Frame, Delivery{m.Class, m.Key}, nil) {
		s.end(errOverflow)
	}
}
