package grain

import (
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
)

// inquiry is a grain that all nodes are asked for, because who keeps its shard is silent or does not know yet. A node that has a grain knows that best: it is not asked to start one, so this can't make
// two of it. Inquiries to one node share messages: the slower it answers, the more of them do.
type inquiry struct {
	key  string
	left int // nodes that have not answered
	then []func(at place, found bool)
}

const (
	// maxHeld is for how many grains a node is asked at a time.
	maxHeld = 512
	// maxAsked is in how many messages at a time.
	maxAsked    = 4
	heldTimeout = time.Second
)

// inquire asks all nodes that answer whether they have a grain; then hears of the first that does, or that none has it. Those that are silent are left out.
func (a *agent) inquire(c *actor.Context, key string, then func(at place, found bool)) {
	if h := a.holds(key); h != nil {
		then(place{h.front, h.epoch}, true)
		return
	}
	if q := a.inquiries[key]; q != nil {
		q.then = append(q.then, then)
		return
	}
	a.g.metrics.inquired.Inc()
	q := &inquiry{key: key, left: 1, then: []func(place, bool){then}}
	a.inquiries[key] = q
	for i := range a.members {
		m := &a.members[i]
		n, err := a.nodeOf(m.Name, m.Incarnation)
		if err != nil || a.own(n) || !a.mayHold(m, n) {
			continue
		}
		if p := a.peerOf(n); !p.silent {
			q.left++
			p.inquiries = append(p.inquiries, q)
			a.askHeld(c, p)
		}
	}
	a.notHeld(q)
}

func (a *agent) mayHold(m *cluster.Member, n *actor.Node) bool {
	return m.State.Reachable() && a.reaches(n) && !a.fenced(n)
}

// askHeld asks a node for the grains that it is to be asked for, unless enough is on its way there: then with the next answer.
func (a *agent) askHeld(c *actor.Context, p *peer) {
	if p.asked >= maxAsked || len(p.inquiries) == 0 {
		return
	}
	n := min(len(p.inquiries), maxHeld)
	open, keys := map[string]*inquiry{}, make([]string, 0, n)
	for _, q := range p.inquiries[:n] {
		if a.inquiries[q.key] == q { // else it has been found
			open[q.key] = q
			keys = append(keys, q.key)
		}
	}
	if p.inquiries = p.inquiries[n:]; len(p.inquiries) == 0 {
		p.inquiries = nil
	}
	if len(keys) == 0 {
		a.askHeld(c, p)
		return
	}
	p.asked++
	a.watch(c, p)
	a.askNode(c, p.n, held{keys}, heldTimeout, func(v any, err error) {
		p.asked--
		has, _ := v.(holdings)
		if err == nil {
			a.hear(p)
		}
		for _, h := range has {
			if q := open[h.Key]; q != nil {
				a.foundHeld(q, place{p.n.Ref(h.ID), h.Epoch})
			}
		}
		for _, q := range open {
			a.notHeld(q)
		}
		a.askHeld(c, p)
		a.dropPeer(p)
	})
}

// askNoMore has those that wait to be asked of a silent node not wait for it.
func (a *agent) askNoMore(p *peer) {
	waiting := p.inquiries
	p.inquiries = nil
	for _, q := range waiting {
		a.notHeld(q)
	}
}

// foundHeld ends an inquiry: a node has the grain.
func (a *agent) foundHeld(q *inquiry, at place) {
	if a.inquiries[q.key] != q {
		return
	}
	a.g.metrics.inquiredFound.Inc()
	a.endInquiry(q, at, true)
}

// notHeld notes that a node does not have a grain, or has not said so.
func (a *agent) notHeld(q *inquiry) {
	if q.left--; q.left == 0 && a.inquiries[q.key] == q {
		a.endInquiry(q, place{}, false)
	}
}

func (a *agent) endInquiry(q *inquiry, at place, found bool) {
	delete(a.inquiries, q.key)
	for _, then := range q.then {
		then(at, found)
	}
}

// holds is the activation of a grain that is here and may act; nil if there is none.
func (a *agent) holds(key string) *hosted {
	h := a.hosted[shardOf(key)][key]
	if h == nil || h.state != isActive || !a.trusted || !a.g.trusted() {
		return nil
	}
	return h
}

// held answers which of some grains are here.
func (a *agent) held(c *actor.Context, m held) {
	has := holdings{}
	for _, key := range m.Keys {
		if h := a.holds(key); h != nil {
			has = append(has, holding{Key: key, Epoch: h.epoch, ID: h.front.ID()})
		}
	}
	c.Reply(has, nil)
}

// firstRest and maxRest bound how long it takes until all nodes are asked once more for a grain that none had: it may have been about to start.
const (
	firstRest = 100 * time.Millisecond
	maxRest   = 5 * time.Second
)

// restAfter is how long to rest after a rest.
func restAfter(d time.Duration) time.Duration { return min(max(4*d, firstRest), maxRest) }

// inquireFor asks all nodes on behalf of who seeks a grain, until it is found in this way or the other.
func (a *agent) inquireFor(c *actor.Context, s *seeker) {
	if s.inquiring || s.finished {
		return
	}
	s.inquiring = true
	a.inquire(c, s.find.Key, func(at place, found bool) {
		switch {
		case s.finished:
		case found && at.Epoch > s.find.Over && !a.g.isEmptied(at.Ref.Home()):
			a.g.metrics.found.Inc()
			s.finish(at, nil)
		default:
			s.rest = restAfter(s.rest)
			later(c, s.rest, func() { s.inquiring = false; a.inquireMore(c, s) })
		}
	})
}

// inquireMore asks once more if who was asked for the grain is silent still.
func (a *agent) inquireMore(c *actor.Context, s *seeker) {
	if s.at != nil && s.at.silent && s.wanted() {
		a.inquireFor(c, s)
	}
}

// answerSoon answers a request for a grain, of a shard that is being taken over, before that has been done: when the grain is on a node that lives.
func (a *agent) answerSoon(c *actor.Context, s *shard, q *query, rest time.Duration) {
	if a.answerGathered(s, q) {
		return
	}
	a.inquire(c, q.key, func(at place, found bool) {
		switch {
		case found && at.Epoch > q.over:
			q.promise.Reply(at, nil)
		case q.promise.Open() && a.shards[s.n] == s && s.state < keeping:
			rest := restAfter(rest)
			later(c, rest, func() {
				if q.promise.Open() && a.shards[s.n] == s && s.state < keeping {
					a.answerSoon(c, s, q, rest)
				}
			})
		}
	})
}

// answerGathered answers a request with what a node has told that it has.
func (a *agent) answerGathered(s *shard, q *query) bool {
	e, known := s.entries[q.key]
	if !known || e.id == 0 || e.epoch <= q.over || a.fenced(e.home) || !a.reaches(e.home) {
		return false
	}
	return q.promise.Reply(place{e.home.Ref(e.id), e.epoch}, nil)
}
