package gate

import (
	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// outs are the players who were put out a moment ago, and all of them, should that have been: a login that was answered before, and comes here after, is too late.
type outs struct {
	players map[string]login.Out
	all     login.Out
}

// outFor is how long a player who was put out is known: longer than any login is on its way.
const outFor = 2 * attachTimeout

// named tells whose a session is that needs no agent.
type named struct {
	uid  string
	turn uint64
}

// Expendable: a gate that ends, ends all sessions.
func (named) Expendable() {}

func (p *players) named(c *actor.Context, session actor.Ref, m named) {
	cl := p.clients[session]
	if cl == nil {
		return
	}
	cl.uid, cl.turn = m.uid, m.turn
	if why := p.outs.concern(m.uid, m.turn); why != nil {
		c.Send(session, kick{why.Reason})
	}
}

// out closes the sessions that the login service wants closed.
func (p *players) out(c *actor.Context, m login.Out) {
	if m.UID == "" {
		p.outs.all = m
	} else {
		if p.outs.players == nil {
			p.outs.players = map[string]login.Out{}
		}
		p.outs.players[m.UID] = m
		c.Detached(func() {
			c.After(outFor, func() {
				if p.outs.players[m.UID].Turn == m.Turn {
					delete(p.outs.players, m.UID)
				}
			})
		})
	}
	for session, cl := range p.clients {
		if cl.uid != "" && m.Concerns(cl.uid, cl.turn) {
			c.Send(session, kick{goodbye(m).Reason})
		}
	}
}

// concern is why somebody who has logged in has to go again; nil if there is no reason.
func (o *outs) concern(uid string, turn uint64) *refusal {
	if m, ok := o.players[uid]; ok && m.Concerns(uid, turn) {
		return goodbye(m)
	}
	if o.all.Concerns(uid, turn) {
		return goodbye(o.all)
	}
	return nil
}

func goodbye(m login.Out) *refusal { return &refusal{packet.Reason{Code: string(m.Code), Msg: m.Msg}} }
