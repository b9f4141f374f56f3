package mesh

import (
	"github.com/skua-go/skua/actor"
)

// AgentName is the name of the actor by which other nodes watch actors of this one.
const AgentName = "mesh"

// maxWatches is how many actors one node may watch on another.
const maxWatches = 1 << 20

type (
	watchFor struct {
		p     *peer
		id    uint64
		noted chan struct{} // of peer.noting
	}
	unwatchFor struct {
		p  *peer
		id uint64
	}
	dropWatches struct{ p *peer }
)

// Expendable says that an agent that has ended need not hear of it: its watches have ended with it.
func (dropWatches) Expendable() {}

// agent watches for other nodes.
type agent struct {
	m     *Mesh
	of    map[actor.Ref]map[*peer]struct{}
	count map[*peer]int
}

func (m *Mesh) agentSpec() actor.Spec {
	return actor.Spec{
		Name: AgentName,
		New: func() actor.Actor {
			return &agent{m: m, of: map[actor.Ref]map[*peer]struct{}{}, count: map[*peer]int{}}
		},
		// Its watches are nowhere else.
		Supervision: actor.Supervision{Limit: -1},
	}
}

// tell gives the agent something to do.
func (m *Mesh) tell(msg any) { m.sys.Send(m.agent, msg) }

// Receive takes what the mesh tells, and hears of ends.
func (a *agent) Receive(c *actor.Context, msg any) {
	switch msg := msg.(type) {
	case watchFor:
		a.watch(c, msg.p, a.m.sys.RefOf(msg.id))
		msg.p.noting.end(msg.id, msg.noted)
	case unwatchFor:
		a.unwatch(c, msg.p, a.m.sys.RefOf(msg.id))
	case dropWatches:
		for ref, peers := range a.of {
			if _, watches := peers[msg.p]; watches {
				a.unwatch(c, msg.p, ref)
			}
		}
	case actor.Terminated:
		for p := range a.of[msg.Ref] {
			a.less(p)
			p.out.add(p.appendReason(appendTo(nil, frameEnded, msg.Ref), msg.Reason))
		}
		delete(a.of, msg.Ref)
	}
}

func (a *agent) watch(c *actor.Context, p *peer, ref actor.Ref) {
	if !p.up.Load() {
		return // it has gone down meanwhile
	}
	if a.count[p] >= maxWatches {
		p.out.add(p.appendReason(appendTo(nil, frameEnded, ref), &actor.Error{Code: actor.Overloaded, Actor: ref.String(), Text: "the node watches too many"}))
		return
	}
	peers := a.of[ref]
	if peers == nil {
		peers = map[*peer]struct{}{}
		a.of[ref] = peers
	}
	if _, known := peers[p]; !known {
		peers[p] = struct{}{}
		a.count[p]++
	}
	c.Watch(ref)
}

func (a *agent) unwatch(c *actor.Context, p *peer, ref actor.Ref) {
	peers := a.of[ref]
	if _, known := peers[p]; !known {
		return
	}
	delete(peers, p)
	a.less(p)
	if len(peers) == 0 {
		delete(a.of, ref)
		c.Unwatch(ref)
	}
}

func (a *agent) less(p *peer) {
	if a.count[p]--; a.count[p] == 0 {
		delete(a.count, p)
	}
}
