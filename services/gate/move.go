package gate

import (
	"fmt"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// A session goes from one gate to another in two steps. The new gate asks for it (take): the session's actor stops, for a moment, and gives a copy of all that it is. The new gate makes a session
// of that, which tells the old one that it is there (commit): only now is it the session, and the old one is where it was found before, which passes on what comes. Until then the old one decides:
// another gate may ask, the client may come back to the old gate, the session may end, or the new gate may be silent for too long. Whoever is not the last to be given it is told so.

// commitTimeout is how long a session waits for the gate that has asked for it.
const commitTimeout = 10 * time.Second

// departing tells the session's actor that a gate asks for it.
type departing struct {
	take
	promise actor.Promise
}

// Expendable: who asks is told by the promise.
func (departing) Expendable() {}

// taken answers a gate that asks for a session.
func (p *players) taken(c *actor.Context, m take) {
	g := p.gate
	s, code := g.tokens.find(m.Token)
	switch {
	case g.others == nil || m.Print != g.others.prints:
		c.Reply(refused{Code: packet.ResumeUnknown}, nil)
	case s == nil:
		c.Reply(refused{Code: code}, nil)
	default:
		c.Send(s.ref, departing{m, c.Promise()})
	}
}

// depart gives a copy of the session to a gate that asks for it.
func (s *session) depart(m departing) {
	if s.homeless || s.rehoming {
		m.promise.Reply(nil, errNotNow)
		return
	}
	s.mu.Lock()
	if code, node := s.goes(&m.take); code != "" || node != "" {
		s.mu.Unlock()
		m.promise.Reply(refused{Code: code, Node: node}, nil)
		if code == packet.ResumeOverflow {
			s.end(errOverflow)
		}
		return
	}
	data, err := s.packData()
	if err != nil {
		s.mu.Unlock()
		s.c.Log().Error("a session can't move", "player", s.state.uid, "error", err)
		m.promise.Reply(nil, errNotNow) // it goes on here
		return
	}
	old := [...]*link{s.link, s.Session.next}
	s.link, s.Session.next = nil, nil
	s.stage = leaving
	s.claim++
	p := s.parcel(data)
	s.gate.waiting.remove(s.Session)
	s.mu.Unlock()
	for _, l := range old {
		if l != nil {
			l.conn.CloseWith(errTaken, s.gate.farewell(errTaken))
		}
	}
	claim := p.Claim
	s.c.Detached(func() {
		s.c.After(commitTimeout, func() {
			s.mu.Lock()
			late, full := s.stage == leaving && s.claim == claim, false
			if late {
				full = s.stay()
			}
			s.mu.Unlock()
			switch {
			case full:
				s.end(errOverflow)
			case late:
				s.passFlushes(s.c)
				s.awaited()
				s.next()
			}
		})
	})
	m.promise.Reply(p, nil)
}

// goes tells why the session can't go to another gate: by the code of a refused resume, or the node that has it now. The lock is held.
func (s *session) goes(m *take) (code, node string) {
	st := &s.state
	switch {
	case s.stage == elsewhere:
		return "", s.at.Node()
	case s.stage == over:
		return refusedFor(s.why), ""
	case !st.in, !st.keys.has(m.Token), m.Received > st.sent:
		return packet.ResumeUnknown, ""
	case m.Received < st.base():
		return packet.ResumeOverflow, ""
	}
	return "", ""
}

func (s *session) packData() ([]byte, error) {
	if s.Data == nil || s.gate.cfg.PackData == nil {
		return nil, nil
	}
	data, err := s.gate.cfg.PackData(s.Data)
	if err != nil {
		return nil, fmt.Errorf("gate: Config.PackData: %w", err)
	}
	return data, nil
}

// parcel is a copy of all that the session is. The lock is held.
func (s *session) parcel(data []byte) *parcel {
	st := &s.state
	p := &parcel{
		Claim: s.claim, Hop: s.hop, Place: s.ref, Agent: s.target, Handle: s.alias, UID: st.uid, Name: st.name, Turn: st.turn, Stamp: s.stamp, Inflates: st.inflates,
		Told: s.told, Known: st.keys.known, Offered: st.keys.offered, Received: st.received, Sent: st.sent,
		Buckets: append([]bucket(nil), st.buckets...), Data: data, Trail: s.trailed(),
	}
	if s.now != nil {
		p.Open, p.Now = true, inbound{typ: s.now.typ, id: s.now.id, route: s.now.route}
	}
	for frame := range st.ring.all {
		p.Ring = append(p.Ring, frame)
	}
	if st.late != nil {
		p.Late = append(p.Late, st.late.frames...)
	}
	for m := st.queue.head; m != nil; m = m.next {
		p.Queue = append(p.Queue, inbound{typ: m.typ, id: m.id, route: m.route, body: append([]byte(nil), m.body...), fast: m.fast, arrived: true})
	}
	return p
}

// trailed are the places that hear what becomes of the session once it has gone from here: those before, this one, and what stands in for it.
func (s *session) trailed() []actor.Ref {
	trail := append(append([]actor.Ref(nil), s.trail...), s.ref)
	for len(trail) > maxTrail {
		for i, ref := range trail {
			if ref != s.alias {
				trail = append(trail[:i], trail[i+1:]...)
				break
			}
		}
	}
	return trail
}

// stay ends the wait for a gate that has asked for the session: it is where it was, without a connection. The lock is held, and the caller sees to what is left: awaited, unless the session has a connection
// at once, and the next request. It tells whether the session has to end, because it can't hold what was sent to it meanwhile.
func (s *Session) stay() (full bool) {
	s.stage, s.why = away, errTaken
	s.claim++ // no gate gets it that was given a copy
	held := s.held
	s.held, s.heldBytes = nil, 0
	for i := range held {
		full = s.put(&held[i]) || full
	}
	return full
}

// awaited has the session wait for its client as long as one does that has just lost it.
func (s *Session) awaited() {
	g := s.gate
	s.mu.Lock()
	if s.stage != away || s.link != nil || s.next != nil || g.waiting.has(s) {
		s.mu.Unlock()
		return
	}
	oldest := g.waiting.add(s, g.sys.Now().Add(g.cfg.ResumeWindow))
	s.mu.Unlock()
	g.watchWaiting()
	if oldest != nil {
		oldest.expired(errCrowded)
	}
}

// committed makes this the place where the session was before, if the one that says so is the last that was given it.
func (s *session) committed(c *actor.Context, m commit) {
	s.mu.Lock()
	if s.stage != leaving || s.claim != m.Claim {
		s.mu.Unlock()
		c.Reply(false, nil)
		return
	}
	g, uid := s.gate, s.state.uid
	g.cfg.Metrics.ringBytes.Add(-int64(s.state.ring.bytes))
	s.state.ring, s.state.late, s.state.queue = ring{}, nil, queue{}
	s.stage, s.at = elsewhere, c.From()
	held := s.held
	s.held, s.heldBytes = nil, 0
	for i := range held {
		c.Send(s.at, held[i])
	}
	s.mu.Unlock()
	s.stands = true
	s.answering.Store(s.now != nil)
	s.passFlushes(c)
	g.cfg.Sessions.went(s.Session)
	g.newest.leave(uid, s.Session)
	g.cfg.Metrics.sessions.Dec()
	g.cfg.Metrics.moves.WithLabelValues("out").Inc()
	c.Watch(s.at)
	s.tellMoved()
	c.Reply(true, nil)
}

// tellMoved tells a Go handler that the session is its no more. An agent need not know.
func (s *session) tellMoved() {
	if s.gate.cfg.Agent == "" && s.gate.cfg.OnSession != nil {
		s.gate.cfg.OnSession(s.c, s.Session, Event{Moved, "moved"})
	}
}

// hold keeps what is sent to a session that is on its way. It tells whether that is too much. The lock is held.
func (s *Session) hold(m relay) (full bool) {
	cfg := &s.gate.cfg
	s.held = append(s.held, m)
	s.heldBytes += len(m.Frame)
	return len(s.held) > cfg.RingPackages+cfg.MaxQueue || s.heldBytes > cfg.RingBytes+cfg.Transport.Backlog
}

// put sends what has come for the session from elsewhere, or was held. It tells whether the session has to end. The lock is held.
func (s *Session) put(m *relay) (full bool) {
	if len(m.Frame) == 0 {
		return false
	}
	if !m.Answer && m.Class != Reliable {
		if s.behind() {
			s.later(m.Route, m.Frame, Delivery{m.Class, m.Key})
			return false
		}
		s.flushLate(nil)
	}
	return s.emit(m.Frame, nil)
}

// pass does with a package what has to be done with it where the session is not quite here; done is false if it is. The lock is held.
func (s *Session) pass(m relay) (done, full bool) {
	switch s.stage {
	case leaving:
		return true, s.hold(m)
	case elsewhere:
		if s.flushing {
			return true, s.hold(m)
		}
		s.gate.sys.Send(s.at, m)
		return true, false
	default:
		return false, false
	}
}
