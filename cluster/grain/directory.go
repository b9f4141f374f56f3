package grain

import (
	"errors"
	"slices"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster"
)

// shard is the part of the directory that this node keeps.
type shard struct {
	n       int
	state   shardState
	epoch   uint64 // of the ownership: its revision
	counter uint64 // of activations in it
	entries map[string]entry
	placing map[string]*placement
	waiting []func() // requests that wait until the shard is kept
	busy    bool     // is being given back
}

type shardState uint8

const (
	claiming shardState = iota
	asking              // others are asked what they have of it
	keeping
	leaving
)

// entry is where a grain is. Without an id it is not known whether it is there.
type entry struct {
	home  *actor.Node
	id    uint64
	epoch uint64
}

// placement is a grain that is being started, and who waits for it.
type placement struct {
	promises []actor.Promise
	refused  []string // nodes that can't have it
}

// counterBits are those of an epoch that count the activations under one ownership of a shard: with them an epoch is below 2^53 until 2039, as all Lua engines need it. A shard whose count ends is given back.
const counterBits = 11

// find answers where a grain is, or has it started.
func (a *agent) find(c *actor.Context, m find) {
	k, _ := a.g.kindOf(m.Key)
	if k == nil {
		c.Reply(nil, ErrKind)
		return
	}
	n := shardOf(m.Key)
	s := a.shards[n]
	if s == nil {
		o, ok := a.g.ownerOf(n)
		ours := ok && o.node == a.g.node.Name()
		if !a.trusted || a.draining || !ours && a.winners[n] != a.g.node.Name() {
			c.Reply(nil, errNotMine)
			return
		}
		s = &shard{n: n, entries: map[string]entry{}, placing: map[string]*placement{}}
		a.shards[n] = s
		a.claim(c, s)
	}
	q := &query{key: m.Key, over: m.Over, from: c.From().Node(), promise: c.Promise()}
	switch s.state {
	case keeping:
		a.lookUp(c, s, q)
	case leaving:
		c.Reply(nil, errNotMine)
	default:
		if a.mayWait(q) {
			s.waiting = append(s.waiting, func() { a.queued--; a.lookUp(c, s, q) })
			a.answerSoon(c, s, q, 0)
		}
	}
}

// query is a find that may have to wait.
type query struct {
	key, from string
	over      uint64
	promise   actor.Promise
}

// mayWait counts a query in, or refuses it.
func (a *agent) mayWait(q *query) bool {
	if a.queued >= a.g.cfg.MaxWaiting {
		a.g.metrics.overloaded.Inc()
		q.promise.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: q.key, Text: "too many requests wait for the directory"})
		return false
	}
	a.queued++
	return true
}

// lookUp answers a query, or has it wait for the grain, or for the node where that is.
func (a *agent) lookUp(c *actor.Context, s *shard, q *query) {
	if !q.promise.Open() { // it has been answered meanwhile, or nobody waits any more
		return
	}
	if a.shards[s.n] != s || s.state != keeping {
		q.promise.Reply(nil, errNotMine)
		return
	}
	if p := s.placing[q.key]; p != nil {
		if len(p.promises) >= a.g.cfg.MaxWaiting/16 {
			q.promise.Reply(nil, &actor.Error{Code: actor.Overloaded, Actor: q.key, Text: "too many wait for the grain"})
			return
		}
		p.promises = append(p.promises, q.promise)
		return
	}
	e, known := s.entries[q.key]
	switch {
	case !known:
		a.place(c, s, q, &placement{promises: []actor.Promise{q.promise}}, nil)
	case a.fenced(e.home):
		a.drop(s, q.key)
		a.place(c, s, q, &placement{promises: []actor.Promise{q.promise}}, nil)
	case !a.reaches(e.home):
		if a.mayWait(q) {
			a.await(c, e.home, func() { a.queued--; a.lookUp(c, s, q) })
		}
	case e.id == 0 || e.epoch <= q.over: // its node knows
		a.place(c, s, q, &placement{promises: []actor.Promise{q.promise}}, e.home)
	default:
		q.promise.Reply(place{e.home.Ref(e.id), e.epoch}, nil)
	}
}

func (a *agent) drop(s *shard, key string) {
	if _, known := s.entries[key]; known {
		delete(s.entries, key)
		a.g.entries.Add(-1)
	}
}

func (a *agent) enter(s *shard, key string, e entry) {
	if _, known := s.entries[key]; !known {
		a.g.entries.Add(1)
	}
	s.entries[key] = e
}

// place has a grain started: where it may be already, or on the node that its placement chooses.
func (a *agent) place(c *actor.Context, s *shard, q *query, p *placement, at *actor.Node) {
	s.placing[q.key] = p
	if at == nil {
		m := a.choose(q, p.refused)
		if m == nil {
			a.placed(s, q.key, nil, ErrNoNode)
			return
		}
		var err error
		if at, err = a.nodeOf(m.Name, m.Incarnation); err != nil {
			a.placed(s, q.key, nil, err)
			return
		}
		m.Load.Grains++ // until its next heartbeat tells
	}
	s.counter++
	if s.counter >= 1<<counterBits-1 {
		s.state = leaving // its next owner begins to count anew
	}
	epoch := s.epoch<<counterBits | s.counter
	a.askNode(c, at, activate{Key: q.key, Epoch: epoch, Owner: s.epoch}, activateTimeout, func(v any, err error) {
		a.activated(c, s, q, p, at, epoch, v, err)
	})
}

// activateTimeout is how long a grain may take to start.
const activateTimeout = 20 * time.Second

// activated hears from the node that was to start a grain.
func (a *agent) activated(c *actor.Context, s *shard, q *query, p *placement, at *actor.Node, epoch uint64, v any, err error) {
	if a.shards[s.n] != s {
		s.answer(q.key, nil, errNotMine)
		return
	}
	got, ok := v.(place)
	switch {
	case err == nil && ok && got.Ref.Home() == at:
		a.g.metrics.placed.Inc()
		a.enter(s, q.key, entry{at, got.Ref.ID(), got.Epoch})
		a.placed(s, q.key, got, nil)
	case is(err, ErrStart, ErrKind, actor.ErrOverloaded) || err == nil:
		if err == nil {
			err = errors.New("grain: the node answers what is no place of it")
		}
		a.drop(s, q.key)
		a.placed(s, q.key, nil, err)
	case is(err, ErrNotHere, actor.ErrNoActor):
		a.drop(s, q.key) // that node does not have it, and can't
		p.refused = append(p.refused, at.Name())
		a.place(c, s, q, p, nil)
	case is(err, errStale):
		a.g.log.Warn("grain: a shard has another owner", "shard", s.n, "epoch", s.epoch, "node", at.Name())
		a.dropShard(c, s)
	default: // whether it has started the grain is not known
		a.enter(s, q.key, entry{home: at, epoch: epoch})
		promises := p.promises
		delete(s.placing, q.key)
		later(c, firstPause, func() {
			for _, promise := range promises {
				a.lookUp(c, s, &query{key: q.key, from: q.from, over: q.over, promise: promise})
			}
		})
	}
}

// placed ends the wait for a grain to start.
func (a *agent) placed(s *shard, key string, v any, err error) { s.answer(key, v, err) }

func (s *shard) answer(key string, v any, err error) {
	p := s.placing[key]
	if p == nil {
		return
	}
	delete(s.placing, key)
	for _, promise := range p.promises {
		promise.Reply(v, err)
	}
}

// choose is where a grain is to be started.
func (a *agent) choose(q *query, refused []string) (best *cluster.Member) {
	k, _ := a.g.kindOf(q.key)
	list := make([]*cluster.Member, 0, len(a.eligible))
	for _, m := range a.eligible {
		if (k.Role == "" || m.Has(k.Role)) && !slices.Contains(refused, m.Name) {
			list = append(list, m)
		}
	}
	switch k.Placement {
	case LeastLoaded:
		for _, m := range list {
			if best == nil || m.Load.Grains < best.Load.Grains {
				best = m
			}
		}
		return best
	case PreferLocal:
		for _, m := range list {
			if m.Name == q.from {
				return m
			}
		}
	case Spread:
	}
	return winner(q.key, list)
}

// forget takes a grain out of the directory.
func (a *agent) forget(c *actor.Context, m forget) {
	s := a.shards[shardOf(m.Key)]
	if s == nil {
		c.Reply(nil, errNotMine)
		return
	}
	if s.state == claiming || s.state == asking {
		promise := c.Promise()
		s.waiting = append(s.waiting, func() { a.forgetNow(s, m); promise.Reply(struct{}{}, nil) })
		return
	}
	a.forgetNow(s, m)
	c.Reply(struct{}{}, nil)
}

func (a *agent) forgetNow(s *shard, m forget) {
	if e, known := s.entries[m.Key]; known && e.epoch <= m.Epoch {
		a.drop(s, m.Key)
	}
}

// dropShard ends what this node knows of a shard, without a word to the bucket.
func (a *agent) dropShard(_ *actor.Context, s *shard) {
	if a.shards[s.n] != s {
		return
	}
	a.shards[s.n] = nil
	a.g.entries.Add(-int64(len(s.entries)))
	if s.state >= asking {
		a.g.owned.Add(-1)
	}
	for key := range s.placing {
		s.answer(key, nil, errNotMine)
	}
	a.resume(s)
}

// resume has what waits for a shard looked at again.
func (a *agent) resume(s *shard) {
	waiting := s.waiting
	s.waiting = nil
	for _, f := range waiting {
		f()
	}
}

// giveBack gives up shards that others are to have: those of a node that has come, all of one that drains.
func (a *agent) giveBack(c *actor.Context) {
	if !a.trusted {
		return
	}
	settled := a.draining || a.g.now()-a.changed > a.g.cfg.Settle
	if settled {
		a.adopt()
	}
	for _, s := range &a.shards {
		if s == nil || s.state < keeping || s.busy {
			continue
		}
		if s.state == keeping && settled && a.winners[s.n] != a.g.node.Name() && (a.winners[s.n] != "" || a.draining) {
			s.state = leaving
		}
		if s.state == leaving && len(s.placing) == 0 {
			a.leave(c, s)
		}
	}
}
