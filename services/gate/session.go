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

// session is a client's place on this node: it hands the client's requests to whoever answers them, one after the other, and writes answers and pushes
// in the order in which they come.
type session struct {
	gate   *Gate
	link   *link
	uid    string    // who the client is, or is about to be
	target actor.Ref // who handles requests; zero before the login
	queue  []queued
	busy   bool       // a request is being handled,
	span   actor.Span // within this one, which ends with the answer; nil when it is not traced
	inNext bool
	fails  int  // logins
	closed bool // the connection has ended or is about to: nothing more is asked or written
}

// queued is a request that waits for earlier ones.
type queued struct {
	inbound
	span actor.Span
}

// errClosed is how a request ends whose answer nobody gets.
var errClosed = errors.New("gate: the session has ended before the answer")

// push is an encoded push, shared by all sessions that get it.
type push struct{ frame []byte }

// MessageType is what logs and traces call it.
func (*push) MessageType() string { return "push" }

// Expendable: a push may miss a client that has just gone.
func (*push) Expendable() {}

// kick closes the session with a reason. It is answered when the session asks nothing more of its agent.
type kick struct{ packet.Reason }

// Expendable: a session that is gone needs no kick.
func (kick) Expendable() {}

// Expendable: a session may have ended before its connection.
func (gone) Expendable() {}

// Expendable: a request that comes while its session ends is answered by the end of the connection.
func (inbound) Expendable() {}

// ActorType is what traces call it.
func (*session) ActorType() string { return "session" }

// Start lets a client in at once where no login is asked for.
func (s *session) Start(c *actor.Context) error {
	s.gate.cfg.Metrics.sessions.Inc()
	if s.gate.cfg.Login == LoginNone {
		s.busy = true
		s.anonymous(c)
	}
	return nil
}

// anonymous lets a client in who says nothing of itself, unless nobody is let in.
func (s *session) anonymous(c *actor.Context) {
	s.identify(c, value.Value{}, func(acc login.Account, err error) {
		if err != nil {
			s.close(s.explain(c, "", err))
			return
		}
		s.enter(c, acc, func(err error) {
			if err != nil {
				s.close(s.explain(c, "", err))
				return
			}
			s.finished(c)
		})
	})
}

// Receive handles what comes from the client and what goes to it.
func (s *session) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case inbound:
		if !s.closed {
			s.queue = append(s.queue, queued{m, c.KeepSpan()}) // it lasts until the answer
			s.next(c)
		}
	case *push:
		if !s.closed {
			s.gate.cfg.Metrics.pushes.Inc()
			_ = s.link.conn.Send(m.frame) // a full backlog closes the connection, which comes back as gone
		}
	case kick:
		s.close(m.Reason)
		c.Reply(nil, nil)
	case gone:
		s.gone(c, m.reason)
	default:
		c.Reply(nil, fmt.Errorf("gate: %T is no message of a session", msg))
	}
}

// gone ends the session behind its connection. Requests that were not handled yet are dropped: nobody could get their answers.
func (s *session) gone(c *actor.Context, reason error) {
	s.shut()
	c.Log().Debug("client gone", "player", s.uid, "reason", reason)
	s.leave(c, nameOf(reason))
	c.Stop(c.Self(), nil)
}

// leave tells the gate that this session asks nothing more of its player's agent.
func (s *session) leave(c *actor.Context, reason string) {
	if s.uid == "" {
		return
	}
	if players, ok := c.System().Lookup(ServiceName); ok {
		c.Send(players, detach{s.uid, reason})
	}
}

// close begins the end of the session; the connection comes back as gone.
func (s *session) close(why packet.Reason) {
	s.shut()
	s.link.kick(why)
}

// shut drops what has not been begun.
func (s *session) shut() {
	s.closed = true
	for _, m := range s.queue {
		endSpan(m.span, errClosed)
	}
	s.queue = nil
}

func endSpan(span actor.Span, err error) {
	if span != nil {
		span.End(err)
	}
}

// Stop closes the connection of a session that ends before it.
func (s *session) Stop(*actor.Context, error) {
	s.gate.cfg.Metrics.sessions.Dec()
	s.close(packet.Reason{Code: kickShutdown, Msg: "the server is stopping"})
}

// next handles the oldest request, and those behind it that need no waiting, unless one is being handled.
func (s *session) next(c *actor.Context) {
	if s.inNext {
		return // it goes on there
	}
	s.inNext = true
	for !s.busy && len(s.queue) > 0 {
		m := s.queue[0]
		s.queue[0] = queued{}
		if s.queue = s.queue[1:]; len(s.queue) == 0 {
			s.queue = nil
		}
		s.busy, s.span = true, m.span
		c.Within(m.span, func() { s.request(c, m.inbound) })
	}
	s.inNext = false
}

// finished ends the handling of a request.
func (s *session) finished(c *actor.Context) {
	s.busy = false
	s.next(c)
}

func (s *session) request(c *actor.Context, m inbound) {
	s.gate.cfg.Metrics.requests.Inc()
	body, err := codec.ParseJSON(m.body)
	switch {
	case err != nil:
		s.refuse(c, m, answerBadRequest, "the body is not JSON: "+err.Error())
	case s.target.IsZero() && m.route == loginRoute:
		s.login(c, m, body)
	case s.target.IsZero():
		s.refuse(c, m, answerNotLoggedIn, fmt.Sprintf("%q needs a login first", m.route))
	case m.route == loginRoute && s.gate.cfg.Login != LoginNone:
		s.refuse(c, m, answerLoggedIn, "this connection has logged in already")
	default:
		c.Ask(s.target, lua.Message{Type: lua.TypeClient, Args: s.arguments(c, m.route, body)}, func(v any, err error) { s.answer(c, m, v, err) })
	}
}

// arguments are what a handler gets: route, body and session; an agent knows whose it is, others get the uid as well.
func (s *session) arguments(c *actor.Context, route string, body value.Value) value.List {
	var b value.Builder
	b.String(route)
	b.Value(body)
	b.Int(int64(c.Self().ID()))
	if s.gate.cfg.Agent == "" {
		b.String(s.uid)
	}
	return b.List()
}

// frames lends buffers for answers; a connection copies what it sends.
var frames = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }} //nolint:gochecknoglobals // a cache

// refuse answers with an error of the gate's own.
func (s *session) refuse(c *actor.Context, m inbound, code, msg string) {
	s.answer(c, m, nil, &refusal{packet.Reason{Code: code, Msg: msg}})
}

// answer writes the answer to a request and goes on with the next.
func (s *session) answer(c *actor.Context, m inbound, v any, err error) {
	s.write(c, m, v, err)
	s.finished(c)
}

// write writes the answer to a request. A notify has none, but its errors are counted and logged like those of a request.
func (s *session) write(c *actor.Context, m inbound, v any, err error) {
	s.link.answered(&m)
	span := s.span
	s.span = nil
	if s.closed {
		endSpan(span, errClosed)
		return
	}
	buf := frames.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	defer frames.Put(buf)
	frame, err := s.encode(c, (*buf)[:0], m, v, err)
	endSpan(span, err)
	if m.typ == packet.Request && len(frame) > 0 {
		_ = s.link.conn.Send(frame) // a full backlog closes the connection, which comes back as gone
	}
	if cap(frame) <= 64<<10 {
		*buf = frame[:0]
	}
}

// encode is the answer as a frame, and the error that it tells the client of, if it does.
func (s *session) encode(c *actor.Context, dst []byte, m inbound, v any, err error) (frame []byte, failure error) {
	if err == nil {
		if frame, err = s.encodeResult(dst, m, v); err == nil {
			return frame, nil
		}
	}
	s.gate.cfg.Metrics.failed.Inc()
	frame, unfit := packet.AppendError(dst, m.id, s.explain(c, m.route, err))
	if unfit != nil { // more than a package holds
		c.Log().Error("an error can't be encoded", "route", m.route, "player", s.uid, "error", unfit)
		frame, _ = packet.AppendError(dst, m.id, packet.Reason{Code: answerInternal, Msg: "internal error"})
	}
	return frame, err
}

func (s *session) encodeResult(dst []byte, m inbound, v any) ([]byte, error) {
	list, _ := v.(value.List)
	result, err := resultOf(list)
	if err != nil {
		return nil, err
	}
	body, err := codec.AppendJSON(nil, result)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	frame, err := packet.AppendData(dst, packet.Message{Type: packet.Response, ID: m.id, Body: body}, s.gate.routes)
	if err != nil {
		return nil, fmt.Errorf("answer: %w", err)
	}
	return frame, nil
}
