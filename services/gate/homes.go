package gate

import (
	"errors"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/net/packet"
)

// Where a player's agent is, the gate's actor has the player: it alone starts and ends agents, and knows which session is attached. Before the first agent of a player starts on a node, all other nodes let go of the
// player: those that have it end its session and its agent, which has saved then. Nothing else has to be kept, so nothing is lost when a node dies but the players that it had, whose sessions come
// and ask for another agent by themselves.

// unfit is why a session can't have an agent here.
func (p *players) unfit(c *actor.Context, m attach) error {
	switch {
	case p.gate.cfg.Agent == "":
		return errNobody
	case c.From().IsRemote() && (p.gate.others == nil || m.Print != p.gate.others.prints):
		return &refusal{packet.Reason{Code: answerUnavailable, Msg: "the nodes' gates are configured differently"}}
	}
	return nil
}

// inquire has all other nodes let go of a player. One whose node is dead has nobody any more.
func (p *players) inquire(c *actor.Context, pl *player, old actor.Ref) {
	g := p.gate
	if g.others == nil || g.cfg.Login == LoginNone && old.IsZero() { // where each session is somebody new
		return
	}
	for _, m := range g.others.reachable() {
		p.inquireAt(c, m, pl, old)
	}
}

func (p *players) inquireAt(c *actor.Context, m cluster.Member, pl *player, old actor.Ref) {
	pl.asking++
	asked := pl.stamp
	c.Detached(func() {
		p.ask(c, m, yield{pl.uid, asked, old}, func(v any, err error) {
			if newer, _ := v.(yielded); newer.Newer && asked != pl.stamp { // but perhaps not than this one
				pl.asking--
				p.inquireAt(c, m, pl, actor.Ref{})
				return
			}
			p.letGo(c, pl, v, err)
		})
	})
}

// ask asks the gate of another node.
func (p *players) ask(c *actor.Context, m cluster.Member, msg any, then func(any, error)) {
	p.gate.others.find(c, m, func(to actor.Ref, err error) {
		if err != nil {
			then(nil, err)
			return
		}
		c.AskFor(to, msg, attachTimeout, then)
	})
}

// letGo takes the answer to inquire.
func (p *players) letGo(c *actor.Context, pl *player, v any, err error) {
	pl.asking--
	newer, _ := v.(yielded)
	switch {
	case newer.Newer:
		p.refuse(c, pl, &refusal{loggedInElsewhere})
	case err == nil, errors.Is(err, actor.ErrUnreachable), errors.Is(err, actor.ErrNoActor), errors.Is(err, actor.ErrStopped):
	default:
		p.refuse(c, pl, err)
	}
	p.advance(c, pl)
}

// yield lets go of a player who is in on another node: answered when nobody has it here.
func (p *players) yield(c *actor.Context, m yield) {
	pl := p.byUID[m.UID]
	if pl == nil {
		before := p.gate.newest.find(m.UID)
		switch {
		case before.Session == nil:
		case m.Stamp.before(before.stamp) && c.System().Now().Sub(before.came) < meanwhile:
			c.Reply(yielded{Newer: true}, nil)
			return
		default:
			p.gate.cfg.Metrics.replaced.Inc()
			before.end(&refusal{loggedInElsewhere})
		}
		c.Reply(yielded{}, nil)
		return
	}
	same := !pl.session.IsZero() && pl.session == m.Old
	attaching := !pl.next.session.IsZero()
	if !pl.session.IsZero() && !pl.closing { // one that came while the older one was under way is the newer one still
		attaching = attaching || c.System().Now().Sub(pl.came) < meanwhile
	}
	if m.Stamp.before(pl.stamp) && !same && (attaching || !m.Old.IsZero()) {
		c.Reply(yielded{Newer: true}, nil)
		return
	}
	pl.yields = append(pl.yields, c.Promise())
	p.refuse(c, pl, &refusal{loggedInElsewhere})
	switch {
	case same: // the session has gone to the other node's agent
		p.detach(c, m.Old, detach{m.UID, kickMoved})
		return
	case !pl.session.IsZero() && !pl.closing:
		p.evict(c, pl)
	case pl.session.IsZero() && pl.stage == absent:
		// All that there is here are questions of this node, for a login that is over now. Who was asked may wait for this answer itself.
		p.yielded(pl)
		pl.anew = true
	}
	p.advance(c, pl)
}

// yielded tells other nodes that nobody has a player here any more.
func (p *players) yielded(pl *player) {
	for _, promise := range pl.yields {
		promise.Reply(yielded{}, nil)
	}
	pl.yields = nil
}
