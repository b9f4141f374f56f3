package grain

import (
	"time"

	"github.com/skua-go/skua/actor"
)

// peer is the agent of another node, as one that is asked for grains: whether it answers.
//
// A node that has died is known to be dead after seconds, and who asks it for a grain must not wait for so long when the grain lives elsewhere. So an agent that owes an answer is
// asked for a sign of life beside, and is silent when that does not come soon: a search that takes its time because a grain starts slowly is no silence. Who is silent may be slow only, so nothing is decided by it but whom else to ask.
type peer struct {
	n         *actor.Node
	seekers   map[*seeker]struct{} // those that it owes an answer
	heard     time.Duration        // when it answered anything last
	signal    time.Duration        // when the sign of life was asked for that it owes; 0 if it owes none
	silent    bool
	watched   bool
	asked     int        // inquiries are on their way to it in so many messages
	inquiries []*inquiry // those that are to be sent
}

const (
	// lookEachPeer is how often it is looked whether a node that owes answers has given a sign of life.
	lookEachPeer = 10 * time.Millisecond
	// soon is when a sign of life is late. Longer has those wait who ask a node that has just died, shorter has more nodes asked in vain when one is only busy.
	soon = 20 * time.Millisecond
	// signalTimeout is after what time a sign of life is asked for once more, while the node is believed to be alive.
	signalTimeout = time.Second
)

// peerOf is a node as a peer; nil for this one.
func (a *agent) peerOf(n *actor.Node) *peer {
	if a.own(n) {
		return nil
	}
	p := a.peers[n]
	if p == nil {
		p = &peer{n: n, seekers: map[*seeker]struct{}{}}
		a.peers[n] = p
	}
	return p
}

// owes notes that a node has been asked where a grain is.
func (a *agent) owes(c *actor.Context, p *peer, s *seeker) {
	if p == nil {
		return
	}
	p.seekers[s] = struct{}{}
	if p.silent {
		a.inquireFor(c, s)
	}
	a.watch(c, p)
}

// watch looks after a node from now on.
func (a *agent) watch(c *actor.Context, p *peer) {
	if !p.watched {
		p.watched = true
		later(c, lookEachPeer, func() { a.watchPeer(c, p) })
	}
}

// paid notes that what a node owed has ended: by an answer of it, or by a failure on the way.
func (a *agent) paid(p *peer, s *seeker, answered bool) {
	if p == nil {
		return
	}
	delete(p.seekers, s)
	if answered {
		a.hear(p)
	}
	a.dropPeer(p)
}

func (a *agent) hear(p *peer) { p.heard, p.silent = a.g.now(), false }

// watchPeer looks after a node for as long as it owes answers or is silent.
func (a *agent) watchPeer(c *actor.Context, p *peer) {
	if len(p.seekers)+p.asked == 0 && !p.silent || !a.reaches(p.n) {
		p.watched = false
		a.dropPeer(p)
		return
	}
	now := a.g.now()
	switch {
	case p.signal == 0 && now-p.heard >= lookEachPeer:
		p.signal = now
		a.askNode(c, p.n, held{}, signalTimeout, func(_ any, err error) {
			p.signal = 0
			if err == nil {
				a.hear(p)
			}
		})
	case p.signal != 0 && now-p.signal >= soon && !p.silent:
		p.silent = true
		a.g.metrics.silences.Inc()
		for s := range p.seekers {
			a.inquireFor(c, s)
		}
		a.askNoMore(p)
	}
	later(c, lookEachPeer, func() { a.watchPeer(c, p) })
}

// dropPeer forgets a node that nothing is asked of.
func (a *agent) dropPeer(p *peer) {
	if !p.watched && p.asked == 0 && len(p.inquiries) == 0 && len(p.seekers) == 0 && a.peers[p.n] == p {
		delete(a.peers, p.n)
	}
}
