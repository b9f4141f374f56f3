package gate

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// Session is one client's place on the node: who it is, what it was sent and has not acknowledged, what it has asked and was not answered. It outlives its
// connections if the client knows resume. Its methods may be called from any goroutine, do not block, and do nothing once it has ended.
type Session struct {
	// Data is for a Go handler, to be used in the session's actor only.
	Data any

	gate   *Gate
	ref    actor.Ref
	agent  atomic.Uint64 // number of the actor that handles its requests, if that is on this node; for Prefetch
	opened actor.Promise // of the connection that it begins with; used up by its actor's Start

	mu    sync.Mutex // taken before those of Sessions, tokens, waiting and the connection, and behind a Group's
	state state
	stage phase
	link  *link         // the connection that it has; nil while it waits for one
	next  *link         // one that has asked for the session and not acknowledged the handshake
	why   error         // why the connection was lost, or the session has ended
	isIn  chan struct{} // nil while nobody waits for that

	claim     uint64    // counts the copies that other gates were given
	at        actor.Ref // where the session is that this stands in for,
	settled   bool      // which has said so itself: until then its gate may not know it,
	heading   actor.Ref // and where it is now, while what was sent to it before
	flushing  bool      // is waited for
	held      []relay   // what is sent to it meanwhile, or while it leaves
	heldBytes int

	// Guarded by the gate's waiting.
	older, newer *Session
	until        time.Time // zero while it is not in the list

	isFar     bool        // it is elsewhere; guarded by Sessions
	answering atomic.Bool // it is, and a request is being handled that was asked here
}

// state is what a session is apart from its connection and its actor: what another gate would have to have to go on with it.
type state struct {
	resumes   bool // the client knows resume. It never changes,
	inflates  bool // nor that it takes compressed bodies
	in        bool // the client has logged in
	uid, name string
	turn      uint64 // of the login
	keys      *keys  // nil for a client without resume
	received  uint64 // data packages of the client,
	sent      uint64 // and for the client,
	ring      ring   // the last of which are here
	late      *late  // pushes that are to be sent when the connection can take them
	queue     queue
	buckets   []bucket
	groups    []*Group
}

// phase is where a session is in its life.
type phase uint8

const (
	present   phase = iota // it has a connection, or is about to change it
	away                   // it waits for its client
	leaving                // another gate has a copy, and may get it
	elsewhere              // it is on another node, and this stands in for it
	over
)

// ID is the session's number, by which scripts know it. It is never 0.
func (s *Session) ID() uint64 { return s.ref.ID() }

// Ref is the session's actor.
func (s *Session) Ref() actor.Ref { return s.ref }

// UID is who the client is: empty until it has logged in.
func (s *Session) UID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.uid
}

// Kick ends the session with a reason that the client is told.
func (s *Session) Kick(code, msg string) { s.end(&refusal{packet.Reason{Code: code, Msg: msg}}) }

// entered notes who has logged in.
func (s *Session) entered(a *login.Account) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.in, s.state.uid, s.state.name = true, a.UID, a.Name
	s.tellIn()
}

// base is the number of the newest data package that is not in the ring any more.
func (st *state) base() uint64 { return st.sent - uint64(st.ring.count) }

// acknowledged forgets what the client has received, up to a number that was sent.
func (s *Session) acknowledged(number uint64) {
	if base := s.state.base(); number > base {
		was := s.state.ring.bytes
		s.state.ring.drop(int(number - base))
		s.gate.cfg.Metrics.ringBytes.Add(int64(s.state.ring.bytes - was))
	}
}

// lost takes a connection's end. A session that does not wait for another one ends with it.
func (s *Session) lost(l *link, reason error) {
	g := s.gate
	s.mu.Lock()
	if s.stage == over || (s.link != l && s.next != l) {
		s.mu.Unlock()
		return
	}
	if s.next == l {
		s.next = nil
	} else {
		s.link = nil
	}
	if s.next != nil { // which goes on with the session
		s.mu.Unlock()
		return
	}
	if !s.waits(reason) {
		s.mu.Unlock()
		s.end(reason)
		return
	}
	s.stage, s.why = away, reason
	oldest := g.waiting.add(s, g.sys.Now().Add(g.cfg.ResumeWindow))
	s.mu.Unlock()
	g.cfg.Log.Debug("a session waits for its client", "session", s.ref.String(), "reason", reason)
	g.watchWaiting()
	if oldest != nil {
		oldest.expired(errCrowded)
	}
	g.sys.Send(s.ref, look{})
}

// waits tells whether the session outlives a connection that has ended for this reason.
func (s *Session) waits(reason error) bool {
	return s.state.resumes && s.state.in && outlived(reason)
}

// expired ends a session whose client has not come back, unless it just has; the caller has taken it out of those that wait.
func (s *Session) expired(why error) {
	s.mu.Lock()
	gone := s.stage == away && s.next == nil && !s.gate.waiting.has(s)
	s.mu.Unlock()
	if gone {
		s.end(why)
	}
}

// end ends the session: its connection is closed with that reason, its client can't come back, and its actor hears of it. Only the first call counts.
func (s *Session) end(why error) {
	s.mu.Lock()
	if s.stage != elsewhere {
		s.finish(why)
		return
	}
	if r := reasonOf(why); r.Code != "" { // its place ends it, and tells
		s.gate.sys.Send(s.at, kick{r})
	}
	s.mu.Unlock()
}

// endHere is end for what stands in for a session, too, when there is nobody left to stand in for.
func (s *Session) endHere(why error) {
	s.mu.Lock()
	s.finish(why)
}

// finish ends the session, and gives the lock back that is held.
func (s *Session) finish(why error) {
	g := s.gate
	if s.stage == over {
		s.mu.Unlock()
		return
	}
	links := [...]*link{s.link, s.next}
	groups, uid := s.state.groups, s.state.uid
	g.cfg.Metrics.ringBytes.Add(-int64(s.state.ring.bytes))
	g.tokens.bury(s, refusedFor(why))
	far := s.stage == elsewhere
	s.stage, s.why, s.link, s.next, s.held = over, why, nil, nil, nil
	s.state.ring, s.state.late, s.state.groups = ring{}, nil, nil
	s.tellIn()
	s.mu.Unlock()

	g.waiting.remove(s)
	g.cfg.Sessions.remove(s)
	g.newest.leave(uid, s)
	if !far {
		g.cfg.Metrics.sessions.Dec()
	}
	for _, l := range links {
		if l != nil {
			l.conn.CloseWith(why, g.farewell(why))
		}
	}
	for _, group := range groups {
		group.forget(s)
	}
	g.sys.Send(s.ref, look{})
}
