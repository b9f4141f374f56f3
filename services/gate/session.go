package gate

import (
	"errors"
	"fmt"
	"sync"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

// session is the actor of a Session: it hands the client's requests to whoever answers them, one after the other, and writes the answers in the order
// in which they come.
type session struct {
	*Session
	c       *actor.Context
	target  actor.Ref // who handles requests; zero before the login
	alias   actor.Ref // what stands in for this where its agent is; itself on the same node
	home    actor.Ref // the gate that has the player, if that is one of another node
	stamp   stamp     // of the login
	near    bool      // it is an agent on this node
	now     *inbound  // the request that is being handled
	answers func(any, error)
	request *Request // of a Go handler
	stands  bool     // the session is on another node, and this passes on what is for it
	inNext  bool
	welcome bool  // the client may ask for more than to log in
	told    bool  // that its client is away
	closed  bool  // it has ended: nothing more is asked or written
	learned uint8 // how many routes it has had the codec learn
	fails   int   // logins

	from     *parcel         // what it begins with, from another gate
	coming   bool            // it handles nothing yet:
	claimed  bool            // the gate that it comes from has not agreed
	hop      uint64          // how many places it has had, as far as this knows
	abroad   actor.Ref       // where the request is being handled; zero: here
	trail    []actor.Ref     // where it has been
	flushes  []actor.Promise // of those who wait until what they have sent is there
	turned   []actor.Promise // of those that it is to send to from now on
	rehoming bool            // it is to have another agent
	homeless bool            // it waits for one

	door *actor.Timer // of Config.LoginTimeout; nil once the client has logged in
}

// errClosed is how a request ends whose answer nobody gets.
var errClosed = errors.New("gate: the session has ended before the answer")

// kick ends the session with a reason. It is answered when the session asks nothing more of its agent.
type kick struct{ packet.Reason }

// Expendable: a session that is gone needs no kick.
func (kick) Expendable() {}

// look tells the actor that its Session has lost or found its connection, or ended.
type look struct{}

// Expendable: an actor may have ended before its Session.
func (look) Expendable() {}

// What kind of actor a session is.
const (
	sessionKind = "gate.session"
	sessionType = "session" // in traces
)

// ActorType is what traces call it.
func (*session) ActorType() string { return sessionType }

// User is by what traces choose its requests.
func (s *session) User() string { return s.UID() }

// Start makes the session known, and lets a client in at once where no login is asked for.
func (s *session) Start(c *actor.Context) error {
	s.c, s.answers = c, s.answered
	switch {
	case s.from != nil:
		s.start(c)
		return nil
	case s.stage == elsewhere: // nobody else knows it yet
		s.stand(c)
		return nil
	}
	s.register(c.Self())
	opened := s.opened
	s.opened = actor.Promise{} // which would keep more than it says
	if !opened.Reply(nil, nil) {
		s.end(errLeft) // the connection has given up
		return errLeft
	}
	if s.gate.cfg.Login == LoginNone {
		s.now = newInbound(&packet.Message{Type: packet.Notify})
		s.anonymous()
	} else if s.gate.cfg.LoginTimeout > 0 {
		c.Detached(func() { s.door = c.After(s.gate.cfg.LoginTimeout, s.stranger) })
	}
	return nil
}

// stranger ends a session whose client has not logged in for long.
func (s *session) stranger() {
	s.door = nil
	s.end(&refusal{packet.Reason{Code: kickLoginTimeout, Msg: "no login in time"}})
	s.shut()
}

// letIn notes that the client may ask for more than to log in.
func (s *session) letIn(a *login.Account) {
	if s.door != nil {
		s.door.Cancel()
		s.door = nil
	}
	s.entered(a)
	s.welcome = true
}

// anonymous lets a client in who says nothing of itself, unless nobody is let in.
func (s *session) anonymous() {
	refuse := func(err error) { s.end(&refusal{s.explain("", err)}) }
	s.identify(value.Value{}, func(a login.Account, err error) {
		if err != nil {
			refuse(err)
			return
		}
		s.enter(&a, func(err error) {
			if err != nil {
				refuse(err)
				return
			}
			s.now.release()
			s.now = nil
			s.next()
		})
	})
}

// register makes the session known to those who push to it or come back to it.
func (s *Session) register(ref actor.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ref = ref
	if s.stage == over {
		return
	}
	s.gate.cfg.Sessions.add(s)
	if s.state.resumes {
		s.gate.tokens.add(s.state.keys.known, s)
	}
}

// Receive handles what comes from the client and what happens to the session.
func (s *session) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case *inbound:
		m.arrived = true
		if s.stands {
			return // it has gone with the session
		}
		if c.Span() != nil {
			m.span = c.KeepSpan() // it lasts until the answer
		}
		s.next()
	case look:
		s.look()
	case kick:
		s.kicked(c, m)
	case later:
		m()
	default:
		s.receiveFar(c, msg)
	}
}

// receiveFar handles what sessions of several nodes have to do with.
func (s *session) receiveFar(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case relay:
		s.relayed(m)
	case departing:
		s.depart(m)
	case commit:
		s.committed(c, m)
	case ended:
		s.hears(m)
	case nowAt:
		s.moved(c, c.From(), m.Hop)
	case flush:
		s.flushed(c)
	case rehome:
		if s.stands {
			c.Forward(s.whereabouts())
			return
		}
		s.rehoming = true
		s.next()
	case actor.Terminated:
		s.lostSight(m)
	default:
		c.Reply(nil, fmt.Errorf("gate: %T is no message of a session", msg))
	}
}

// look finds out what has become of the connection.
func (s *session) look() {
	s.mu.Lock()
	stage, why := s.stage, s.why
	s.mu.Unlock()
	switch {
	case stage == over:
		s.gone(why)
	case stage == away && !s.told:
		s.told = true
		s.tell(Away, lossOf(why))
	case stage == present && s.told:
		s.told = false
		s.tell(Back, "")
	}
	s.passFlushes(s.c) // it may have waited for another gate
	s.next()
}

// gone ends the actor behind its session. Requests that were not handled yet are dropped: nobody could get their answers.
func (s *session) gone(why error) {
	s.shut()
	s.c.Log().Debug("client gone", "player", s.UID(), "reason", why)
	if !s.stands {
		s.tellOver(why)
	}
	s.leave(nameOf(why))
	s.c.Stop(s.c.Self(), nil)
}

// leave tells the gate that this session asks nothing more of its player's agent, or the Go handler that it has ended.
func (s *session) leave(reason string) {
	uid := s.UID()
	if uid == "" || s.stands && s.alias != s.ref {
		return
	}
	if s.gate.cfg.Agent == "" {
		if s.welcome && !s.stands {
			s.tell(Disconnected, reason)
		}
		return
	}
	if !s.home.IsZero() { // it may be on its way there
		s.c.Send(s.home, detach{uid, reason})
	}
	if !s.alias.IsZero() && s.alias != s.ref {
		return // that tells the gate
	}
	if players, ok := s.c.System().Lookup(s.gate.cfg.Name); ok {
		s.c.Send(players, detach{uid, reason})
	}
}

// shut drops what has not been begun.
func (s *session) shut() {
	s.closed = true
	for _, m := range s.clear() {
		endSpan(m.span, errClosed)
	}
}

func endSpan(span actor.Span, err error) {
	if span != nil {
		span.End(err)
	}
}

// Stop ends a session whose actor is ended.
func (s *session) Stop(*actor.Context, error) {
	s.endHere(&refusal{packet.Reason{Code: kickShutdown, Msg: "the server is stopping"}})
	s.shut()
}

// next handles the oldest request, and those behind it that need no waiting, unless one is being handled.
func (s *session) next() {
	if s.inNext || s.homeless || s.coming {
		return // it goes on there, or then
	}
	if s.rehoming && s.now == nil && !s.stands {
		s.orphaned()
		return
	}
	s.inNext = true
	for s.now == nil && !s.homeless {
		m := s.take()
		if m == nil {
			break
		}
		if s.closed {
			endSpan(m.span, errClosed)
			continue
		}
		s.now = m
		if m.span != nil || s.c.Span() != nil {
			s.c.Within(m.span, s.handle)
		} else {
			s.handle()
		}
	}
	s.inNext = false
}

// handle begins with the request whose turn it is.
func (s *session) handle() {
	m := s.now
	s.gate.cfg.Metrics.requests.Inc()
	switch {
	case m.fast:
		s.gate.cfg.Metrics.tooFast.Inc()
		s.refuse(answerTooFast, fmt.Sprintf("more often than %q may be asked for", m.route))
	case !s.welcome && m.route == loginRoute && s.gate.cfg.Login != LoginNone:
		s.login()
	case !s.welcome:
		s.refuse(answerNotLoggedIn, fmt.Sprintf("%q needs a login first", m.route))
	case m.route == loginRoute && s.gate.cfg.Login != LoginNone:
		s.refuse(answerLoggedIn, "this connection has logged in already")
	case s.gate.cfg.Handle != nil:
		s.handleInGo()
	default:
		s.ask()
	}
}

// ask has the agent, or the first service, handle the request.
func (s *session) ask() {
	m := s.now
	l := lents.Get().(*lua.Lent) //nolint:forcetypeassert // what the pool makes
	b := l.Open(lua.TypeClient)
	b.String(m.route)
	if err := s.gate.cfg.Bodies.ParseTo(b, m.route, codec.Request, m.body); err != nil {
		release(l)
		s.badBody(err)
		return
	}
	b.Int(s.number())
	if s.gate.cfg.Agent == "" {
		b.String(s.state.uid) // nobody else's writes are left
	}
	l.Close()
	if !s.near {
		msg := l.Kept()
		release(l)
		s.c.Ask(s.target, msg, s.answers)
		return
	}
	s.c.Ask(s.target, l, s.answers)
}

// lents lends requests, so that one costs no memory but once.
var lents = sync.Pool{New: func() any { return new(lua.Lent) }} //nolint:gochecknoglobals // a cache

// release gives a request back that nobody uses any more. It keeps nothing alive meanwhile.
func release(l *lua.Lent) {
	l.Open(0)
	lents.Put(l)
}

func (s *session) badBody(err error) {
	s.refuse(answerBadRequest, fmt.Sprintf("the body is not %s: %s", bodyName(s.gate.cfg.Bodies.Name()), err.Error()))
}

// refuse answers with an error of the gate's own.
func (s *session) refuse(code, msg string) {
	s.answered(nil, &refusal{packet.Reason{Code: code, Msg: msg}})
}

// answered writes the answer to the request that is handled and goes on with the next.
func (s *session) answered(v any, err error) {
	if err == nil {
		s.learn()
		var result value.Value
		list, _ := v.(value.List)
		l, lent := v.(*lua.Lent)
		if lent {
			list = l.Answer()
		}
		result, err = resultOf(list)
		s.write(result, nil, err)
		if lent {
			release(l)
		}
	} else {
		s.write(value.Value{}, nil, err)
	}
	s.next()
}

// learn has the codec keep the string of a route that somebody handles. What the first requests of each session are for will do.
func (s *session) learn() {
	const enough = 64
	if s.learned < enough {
		s.learned++
		s.gate.codec.Learn(s.now.route)
	}
}

// number is the session's to its agent.
func (s *session) number() int64 {
	if s.alias.IsZero() {
		return int64(s.ref.ID())
	}
	return int64(s.alias.ID())
}
