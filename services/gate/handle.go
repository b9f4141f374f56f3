package gate

import (
	"errors"
	"net/netip"
	"sync/atomic"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
)

// Event is a change of a session, see Config.OnSession.
type Event struct {
	Change Change
	// Reason is why the connection was lost or the session has ended, in a word: the code of a kick, or "left", "lost", "idle" and the like.
	Reason string
}

// Change is what has happened to a session.
type Change uint8

// The changes, in the order in which they can come: Away and Back any number of times, in turns, in between.
const (
	Connected    Change = iota // the client is in: its requests follow
	Away                       // its connection is lost, and the session waits for it
	Back                       // it has come back, and missed nothing
	Disconnected               // the session has ended
	Moved                      // it goes on at the gate of another node: this Session passes on what is pushed, until it has ended
	Arrived                    // it has come from there, and may have Config.PackData's data: its requests follow
)

// commands are what the changes are called for agents.
func (ch Change) command() string {
	return [...]string{"connect", "away", "back", "disconnect", "moved", "arrived"}[ch]
}

// Request is a request or a notify of a client, as a Go handler gets it. It is answered exactly once, by Reply, Respond or Fail, in the handler or later in
// the session's actor (in a continuation of Context.Ask, Go or After), or from elsewhere through Later; the client's next request is handled
// then. It may not be used any more once it has been answered. A notify is answered too, when the handler returns if not before, and the client does not hear it.
//
// One that a handler has left unanswered for the system's CallTimeout is answered with the error timeout.
type Request struct {
	Session *Session
	Route   string
	// Body is as the client has sent it, valid until the answer. Value has it decoded.
	Body []byte
	// Notify tells that the client waits for no answer.
	Notify bool

	of    *session
	timer *actor.Timer
	done  bool
}

// later is something that goes on in a session's actor.
type later func()

// Expendable: an answer for a session that has ended.
func (later) Expendable() {}

// Value is the body, decoded as Config.Bodies says. What is wrong with it is the client's fault: FailBody answers so.
func (r *Request) Value() (value.Value, error) {
	return codec.Parse(r.of.gate.cfg.Bodies, r.Route, codec.Request, r.Body)
}

// Reply answers with a body that is already encoded. It is copied.
func (r *Request) Reply(body []byte) {
	if body == nil {
		body = []byte{}
	}
	r.finish(value.Value{}, body, nil)
}

// Respond answers with a value, encoded as Config.Bodies says.
func (r *Request) Respond(v value.Value) { r.finish(v, nil, nil) }

// Fail answers with an error that the client sees.
func (r *Request) Fail(code, msg string) {
	r.finish(value.Value{}, nil, &refusal{packet.Reason{Code: code, Msg: msg}})
}

// FailWith answers with an error: one of package login or of the actor runtime is told as docs/protocol.md has it, all else is internal to the
// client and goes to the log.
func (r *Request) FailWith(err error) { r.finish(value.Value{}, nil, err) }

// Later makes a function that answers the request from any goroutine: with an encoded body, which is not copied, or with an error, as FailWith. Only the first call
// counts. The Request itself must not be used any more.
func (r *Request) Later() func(body []byte, err error) {
	ref, sys := r.of.ref, r.of.gate.sys
	var once atomic.Bool
	return func(body []byte, err error) {
		if !once.CompareAndSwap(false, true) {
			return
		}
		sys.Send(ref, later(func() {
			if err == nil && body == nil {
				body = []byte{}
			}
			r.finish(value.Value{}, body, err)
		}))
	}
}

// finish answers, once.
func (r *Request) finish(v value.Value, raw []byte, err error) {
	if r.done {
		return
	}
	r.done = true
	if r.timer != nil {
		r.timer.Cancel()
	}
	if err == nil {
		r.of.learn()
	}
	r.of.write(v, raw, err)
	r.of.next()
}

// handleInGo calls the Go handler.
func (s *session) handleInGo() {
	r := s.request
	if r == nil {
		r = &Request{}
	}
	s.request = nil
	m := s.now
	*r = Request{Session: s.Session, Route: m.route, Body: m.body, Notify: m.typ == packet.Notify, of: s}
	s.gate.cfg.Handle(s.c, r)
	switch {
	case r.done:
		s.request = r
	case r.Notify:
		r.finish(value.Value{}, nil, nil)
	default:
		r.timer = s.c.After(s.c.System().CallTimeout(), func() { r.finish(value.Value{}, nil, actor.ErrDeadline) })
	}
}

// tell tells the agent or the Go handler of a change.
func (s *session) tell(what Change, reason string) {
	switch {
	case s.gate.cfg.Agent != "" && !s.target.IsZero():
		s.tellAgent(what, reason)
	case s.gate.cfg.OnSession != nil:
		s.gate.cfg.OnSession(s.c, s.Session, Event{what, reason})
	}
}

// tellAgent tells the player's agent that the connection was lost or is back. The script need not have a function for it.
func (s *session) tellAgent(what Change, reason string) {
	s.c.Detached(func() {
		s.c.Ask(s.target, lua.Command(what.command(), s.number(), reason), func(_ any, err error) {
			if err != nil && !noHandler(err) && !errors.Is(err, actor.ErrStopped) && !errors.Is(err, actor.ErrNoActor) {
				s.c.Log().Warn("agent's "+what.command()+" failed", "player", s.UID(), "error", err)
			}
		})
	})
}

// Push sends a push whose body is encoded already. It does not wait; a push whose route or body does not fit is an error.
func (s *Session) Push(route string, body []byte, d Delivery) error {
	frame, err := s.gate.framePush(route, body, s.inflates())
	if err != nil {
		s.gate.cfg.Metrics.pushErr.Inc()
		return err
	}
	if s.send(route, frame, d, nil) {
		s.end(errOverflow)
	}
	return nil
}

// addr is the client's address without the port; zero while it has no connection.
func (s *Session) addr() netip.Addr {
	s.mu.Lock()
	l := s.link
	s.mu.Unlock()
	if l == nil {
		return netip.Addr{}
	}
	return l.addr()
}
