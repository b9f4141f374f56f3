package gate

import (
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// outs are the players who were put out a moment ago, and all of them, should that have been: a login that was answered before, and comes here after, is too late.
// Its methods may be called from any goroutine.
type outs struct {
	mu      sync.Mutex
	players map[string]login.Out
	all     login.Out
}

// outFor is how long a player who was put out is known: longer than any login is on its way.
const outFor = 2 * attachTimeout

func (o *outs) add(m login.Out) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m.UID == "" {
		o.all = m
		return
	}
	if o.players == nil {
		o.players = map[string]login.Out{}
	}
	o.players[m.UID] = m
}

func (o *outs) forget(m login.Out) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.players[m.UID].Turn == m.Turn {
		delete(o.players, m.UID)
	}
}

// concern is why somebody who has logged in has to go again; nil if there is no reason.
func (o *outs) concern(uid string, turn uint64) *refusal {
	o.mu.Lock()
	defer o.mu.Unlock()
	if m, ok := o.players[uid]; ok && m.Concerns(uid, turn) {
		return goodbye(m)
	}
	if o.all.Concerns(uid, turn) {
		return goodbye(o.all)
	}
	return nil
}

// out ends the sessions that the login service wants ended. One that gets to know its player while this runs finds out itself, see Session.claimName.
func (p *players) out(c *actor.Context, m login.Out) {
	p.gate.outs.add(m)
	if m.UID != "" {
		c.Detached(func() { c.After(outFor, func() { p.gate.outs.forget(m) }) })
	}
	for _, s := range p.gate.cfg.Sessions.of(p.gate) {
		s.mu.Lock()
		concerned := s.state.uid != "" && m.Concerns(s.state.uid, s.state.turn)
		s.mu.Unlock()
		if concerned {
			s.end(goodbye(m))
		}
	}
}

func goodbye(m login.Out) *refusal { return &refusal{packet.Reason{Code: string(m.Code), Msg: m.Msg}} }
