package gate

import (
	"slices"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// A session that is on another node has something that stands in for it on each node where somebody may know its number: where its agent is, and where it was before. That is a Session, too, and its actor,
// which pass on what is for the client, in order, and end with the session.

// errGone is how a stand-in ends whose session's node is dead.
var errGone = &refusal{packet.Reason{Code: goneLost, Msg: "the node of the session is out of reach"}}

// standIn makes what stands in for a session of another node.
func (p *players) standIn(c *actor.Context, at actor.Ref, uid string, inflates bool) (actor.Ref, error) {
	place := &Session{gate: p.gate, stage: elsewhere, at: at, state: state{uid: uid, inflates: inflates, in: true}}
	return c.Spawn(actor.Spec{
		Kind: sessionKind, New: func() actor.Actor { return &session{Session: place} }, Supervision: actor.Supervision{Limit: -1},
	})
}

// stand begins a stand-in.
func (s *session) stand(c *actor.Context) {
	s.mu.Lock()
	s.ref = c.Self()
	s.gate.cfg.Sessions.add(s.Session)
	s.gate.cfg.Sessions.went(s.Session)
	at := s.at
	s.mu.Unlock()
	s.alias, s.stands = s.ref, true
	c.Watch(at)
}

// isElsewhere tells whether this stands in for a session of another node.
func (s *Session) isElsewhere() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.stage == elsewhere
}

// relayed takes what was sent to the session on another node.
func (s *session) relayed(m relay) {
	s.mu.Lock()
	done, full := s.pass(m)
	if !done && s.stage != over {
		full = s.put(&m)
	}
	s.mu.Unlock()
	if full {
		s.end(errOverflow)
	}
	if m.Answer && !s.abroad.IsZero() {
		s.returned()
	}
}

// returned goes on behind a request that was handled where the session was before.
func (s *session) returned() {
	m := s.now
	s.now, s.abroad = nil, actor.Ref{}
	s.answering.Store(false)
	s.mu.Lock()
	if s.stage != elsewhere {
		s.state.queue.answered(m)
	}
	s.mu.Unlock()
	s.turn()
	s.next()
}

// whereabouts is where the session is, as far as this knows.
func (s *Session) whereabouts() actor.Ref {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// bound is where the session is that this stands in for, also while what was sent before is on its way; and whether it has settled there. It is nowhere if this stands in for none.
func (s *Session) bound() (at actor.Ref, settled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.stage != elsewhere:
		return actor.Ref{}, false
	case !s.heading.IsZero():
		return s.heading, s.settled
	}
	return s.at, s.settled
}

// moved has a stand-in send to where the session is now, behind all that it has sent on the way before.
func (s *session) moved(c *actor.Context, to actor.Ref, hop uint64) {
	s.mu.Lock()
	if s.stage == elsewhere && hop >= s.hop {
		s.settled = true // which is when it tells
	}
	if s.stage != elsewhere || hop < s.hop || s.at == to && !s.flushing {
		s.mu.Unlock()
		c.Reply(nil, nil)
		return
	}
	s.hop = hop
	s.turned = append(s.turned, c.Promise())
	was := s.at
	first := !s.flushing
	s.flushing, s.heading = true, to
	s.mu.Unlock()
	c.Watch(to)
	if !first {
		return // when what is on the way has arrived, see below
	}
	c.Detached(func() { s.flush(c, was) })
}

// flush sends what was held when what went before it is there, or lost with the node where the session was before.
func (s *session) flush(c *actor.Context, was actor.Ref) {
	c.AskFor(was, flush{}, commitTimeout, func(any, error) {
		s.mu.Lock()
		if s.stage != elsewhere {
			s.mu.Unlock()
			return
		}
		s.at, s.heading, s.flushing = s.heading, actor.Ref{}, false
		held := s.held
		s.held, s.heldBytes = nil, 0
		for i := range held {
			c.Send(s.at, held[i])
		}
		s.mu.Unlock()
		c.Unwatch(was)
		for _, promise := range s.turned {
			promise.Reply(nil, nil)
		}
		s.turned = nil
		s.passFlushes(c)
	})
}

// flushed answers a stand-in when all that it has sent before, and then this, is where the session is.
func (s *session) flushed(c *actor.Context) {
	s.flushes = append(s.flushes, c.Promise())
	s.passFlushes(c)
}

// passFlushes answers those who wait for it, unless something is held that has to go before: then whoever ends that calls this.
func (s *session) passFlushes(c *actor.Context) {
	s.mu.Lock()
	at, wait := s.at, s.stage == leaving || s.stage == elsewhere && s.flushing
	here := s.stage != elsewhere
	s.mu.Unlock()
	if wait {
		return
	}
	for _, promise := range s.flushes {
		if here {
			promise.Reply(nil, nil)
			continue
		}
		c.Detached(func() { c.AskFor(at, flush{}, commitTimeout, func(v any, err error) { promise.Reply(v, err) }) })
	}
	s.flushes = nil
}

// interested are the others that hear what becomes of the session.
func (s *session) interested() []actor.Ref {
	all := slices.Clone(s.trail)
	if !s.alias.IsZero() && !slices.Contains(all, s.alias) {
		all = append(all, s.alias)
	}
	return slices.DeleteFunc(all, func(at actor.Ref) bool { return at == s.ref })
}

// kicked ends the session, here or where it is.
func (s *session) kicked(c *actor.Context, m kick) {
	s.mu.Lock()
	at, far := s.at, s.stage == elsewhere
	s.mu.Unlock()
	if !far {
		s.end(&refusal{m.Reason})
		s.shut()
		c.Reply(nil, nil)
		return
	}
	promise := c.Promise()
	c.Detached(func() { c.Ask(at, m, func(v any, err error) { promise.Reply(v, err) }) })
}

// tellOver tells all who stand in for the session that it has ended.
func (s *session) tellOver(why error) {
	for _, at := range s.interested() {
		s.c.Send(at, ended{packet.Reason{Code: nameOf(why)}, refusedFor(why)})
	}
}

// hears ends a stand-in whose session has ended.
func (s *session) hears(m ended) {
	if s.isElsewhere() {
		s.endHere(&remotely{refusal{m.Reason}, m.Refused})
	}
}

// remotely is why a session of another node has ended.
type remotely struct {
	refusal
	refused string
}

// Unwrap is what its client was told.
func (r *remotely) Unwrap() error { return &r.refusal }

// lostSight is for the end of an actor of another node that this session has to do with.
func (s *session) lostSight(m actor.Terminated) {
	s.mu.Lock()
	gone := s.stage == elsewhere && (m.Ref == s.heading || m.Ref == s.at && s.heading.IsZero())
	s.mu.Unlock()
	switch {
	case gone:
		s.endHere(errGone)
	case m.Ref == s.abroad: // its answer, and what it passed on, are lost with it
		s.abroad = actor.Ref{}
		s.refuse(answerUnavailable, notThere().Msg)
		s.turn()
	}
	if m.Ref == s.alias && m.Ref != s.ref && !s.closed && !s.isElsewhere() {
		s.orphaned()
	}
}
