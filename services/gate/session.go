package gate

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"time"

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
	uid    string
	target actor.Ref // who handles requests; zero before the login
	queue  []inbound
	busy   bool
	fails  int
	left   bool // the connection has ended
}

// push is an encoded push, shared by all sessions that get it.
type push struct{ frame []byte }

// Expendable: a push may miss a client that has just gone.
func (*push) Expendable() {}

// kick closes the session with a reason.
type kick struct{ packet.Reason }

// Expendable: a session that is gone needs no kick.
func (kick) Expendable() {}

// Expendable: a session may have ended before its connection.
func (gone) Expendable() {}

// Expendable: a request that comes while its session ends is answered by the end of the connection.
func (inbound) Expendable() {}

// Start lets a client in at once where no login is asked for.
func (s *session) Start(c *actor.Context) error {
	s.gate.cfg.Metrics.sessions.Inc()
	if s.gate.cfg.Login == LoginNone {
		s.busy = true
		s.enter(c, newID(), "", func(err error) {
			if err != nil {
				s.close(c, &refusal{s.explain(c, err)})
				return
			}
			s.finished(c)
		})
	}
	return nil
}

func newID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand
	return hex.EncodeToString(b[:])
}

// Receive handles what comes from the client and what goes to it.
func (s *session) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case inbound:
		s.queue = append(s.queue, m)
		s.next(c)
	case *push:
		s.gate.cfg.Metrics.pushes.Inc()
		_ = s.link.conn.Send(m.frame) // a full backlog closes the connection, which comes back as gone
	case kick:
		s.close(c, &refusal{m.Reason})
	case gone:
		s.left = true
		c.Log().Debug("client gone", "player", s.uid, "reason", m.reason)
		if s.uid != "" {
			s.tellGate(c, detach{s.uid, classOf(m.reason)})
		}
		c.Stop(c.Self(), nil)
	default:
		c.Reply(nil, fmt.Errorf("gate: %T is no message of a session", msg))
	}
}

func classOf(reason error) string {
	if class := classify(reason); class != "" {
		return class
	}
	if code := reasonOf(reason).Code; code != "" {
		return code
	}
	return "lost"
}

func (s *session) tellGate(c *actor.Context, msg any) {
	if ref, ok := c.System().Lookup(ServiceName); ok {
		c.Send(ref, msg)
	}
}

// Stop closes the connection of a session that ends for another reason than its end.
func (s *session) Stop(*actor.Context, error) {
	s.gate.cfg.Metrics.sessions.Dec()
	if !s.left {
		reason := packet.Reason{Code: "shutdown", Msg: "the server is stopping"}
		s.link.conn.CloseWith(&refusal{reason}, packet.AppendKick(nil, reason))
	}
}

func (s *session) close(_ *actor.Context, why *refusal) {
	s.link.conn.CloseWith(why, packet.AppendKick(nil, why.Reason))
}

// next handles the oldest request, unless one is being handled.
func (s *session) next(c *actor.Context) {
	for !s.busy && len(s.queue) > 0 {
		m := s.queue[0]
		s.queue[0] = inbound{}
		s.queue = s.queue[1:]
		if len(s.queue) == 0 {
			s.queue = nil
		}
		s.busy = true
		c.Detached(func() { s.request(c, m) })
	}
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
		s.answer(c, m, nil, &refusal{packet.Reason{Code: "bad_request", Msg: "the body is not JSON: " + err.Error()}})
	case s.target.IsZero() && m.route == loginRoute:
		s.login(c, m, body)
	case s.target.IsZero():
		s.answer(c, m, nil, &refusal{packet.Reason{Code: "not_logged_in", Msg: fmt.Sprintf("%q needs a login first", m.route)}})
	case m.route == loginRoute && s.gate.cfg.Login != LoginNone:
		s.answer(c, m, nil, &refusal{packet.Reason{Code: "logged_in", Msg: "this connection has logged in already"}})
	default:
		c.Ask(s.target, lua.Message{Type: lua.TypeClient, Args: request(m.route, body, c.Self())}, func(v any, err error) { s.answer(c, m, v, err) })
	}
}

func request(route string, body value.Value, self actor.Ref) value.List {
	var b value.Builder
	b.String(route)
	b.Value(body)
	b.Int(int64(self.ID()))
	return b.List()
}

// frames lends buffers for answers; a connection copies what it sends.
var frames = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }} //nolint:gochecknoglobals // a cache

// answer writes the answer to a request, if it is one, and goes on with the next.
func (s *session) answer(c *actor.Context, m inbound, v any, err error) {
	s.link.queued.Add(-1)
	buf := frames.Get().(*[]byte) //nolint:forcetypeassert // what the pool makes
	if frame := s.encode(c, (*buf)[:0], m, v, err); m.typ == packet.Request {
		_ = s.link.conn.Send(frame) // a full backlog closes the connection, which comes back as gone
		if cap(frame) <= 64<<10 {
			*buf = frame[:0]
		}
	}
	frames.Put(buf)
	s.finished(c)
}

func (s *session) encode(c *actor.Context, dst []byte, m inbound, v any, err error) []byte {
	if err == nil {
		var result value.Value
		list, _ := v.(value.List)
		result, err = resultOf(list)
		if err == nil {
			body, jsonErr := codec.AppendJSON(nil, result)
			if jsonErr == nil {
				frame, frameErr := packet.AppendData(dst, packet.Message{Type: packet.Response, ID: m.id, Body: body}, s.gate.routes)
				if frameErr == nil {
					return frame
				}
				jsonErr = frameErr
			}
			err = fmt.Errorf("answer to %q: %w", m.route, jsonErr)
		}
	}
	s.gate.cfg.Metrics.failed.Inc()
	frame, err := packet.AppendError(dst, m.id, s.explain(c, err))
	if err != nil {
		c.Log().Error("an error can't be encoded", "route", m.route, "error", err)
	}
	return frame
}

// resultOf is what a handler has answered: its first result, or, as Lua does it, nil and what is wrong.
func resultOf(l value.List) (value.Value, error) {
	first, second := l.At(0), l.At(1)
	if !first.IsNil() || second.IsNil() {
		return first, nil
	}
	return value.Value{}, &refusal{meant(second)}
}

// meant reads an error that a script means its client to see: a text, or a table with code and msg.
func meant(v value.Value) packet.Reason {
	if s, ok := v.Str(); ok {
		return packet.Reason{Code: "refused", Msg: s}
	}
	r := packet.Reason{Code: "refused"}
	if code, ok := v.Get("code").Str(); ok {
		r.Code = code
	}
	for _, key := range []string{"msg", "message"} {
		if msg, ok := v.Get(key).Str(); ok {
			r.Msg = msg
			break
		}
	}
	return r
}

// explain tells a client what it may know of an error; the rest is for the log.
func (s *session) explain(c *actor.Context, err error) packet.Reason {
	var own *refusal
	var denied *login.Error
	var none *lua.NoHandlerError
	var script *lua.Error
	switch {
	case errors.As(err, &own):
		return own.Reason
	case errors.As(err, &denied):
		return packet.Reason{Code: string(denied.Code), Msg: denied.Msg}
	case errors.As(err, &none) && none.Kind == "route":
		return packet.Reason{Code: "not_found", Msg: fmt.Sprintf("no route %q", none.Name)}
	case errors.As(err, &script):
		if raised := script.Value.At(0); raised.Kind() == value.Table && raised.Get("traceback").IsNil() {
			return meant(raised)
		}
		return packet.Reason{Code: "internal", Msg: "internal error"}
	case errors.Is(err, actor.ErrDeadline):
		return packet.Reason{Code: "timeout", Msg: "no answer in time"}
	case errors.Is(err, actor.ErrStopped), errors.Is(err, actor.ErrNoActor):
		return packet.Reason{Code: "unavailable", Msg: "the player's agent has ended"}
	}
	c.Log().Error("request failed", "player", s.uid, "error", err)
	return packet.Reason{Code: "internal", Msg: "internal error"}
}

const loginRoute = "login"

// login lets the client in.
func (s *session) login(c *actor.Context, m inbound, body value.Value) {
	name, ok := body.Get("name").Str()
	if !ok {
		s.answer(c, m, nil, &refusal{packet.Reason{Code: "bad_request", Msg: `a login needs "name", a string`}})
		return
	}
	if s.gate.cfg.Login == LoginGuest {
		s.known(c, m, login.Account{UID: "guest:" + name, Name: name})
		return
	}
	password, ok := body.Get("password").Str()
	if !ok {
		s.answer(c, m, nil, &refusal{packet.Reason{Code: "bad_request", Msg: `a login needs "password", a string`}})
		return
	}
	service, ok := c.System().Lookup(login.ServiceName)
	if !ok {
		s.answer(c, m, nil, &login.Error{Code: login.Unavailable, Msg: "nobody can log in now"})
		return
	}
	c.Ask(service, login.Password{Name: name, Password: password, Addr: s.link.addr()}, func(v any, err error) {
		if err != nil {
			s.denied(c, m, err)
			return
		}
		s.known(c, m, v.(login.Account)) //nolint:forcetypeassert // what Password is answered by
	})
}

// denied answers a login that failed; too many of them close the connection.
func (s *session) denied(c *actor.Context, m inbound, err error) {
	s.gate.cfg.Metrics.denied.Inc()
	s.fails++
	s.answer(c, m, nil, err)
	if s.fails >= s.gate.cfg.Attempts {
		s.close(c, &refusal{packet.Reason{Code: "denied", Msg: "too many failed logins on this connection"}})
	}
}

// known goes on with a client whose name is known.
func (s *session) known(c *actor.Context, m inbound, a login.Account) {
	s.enter(c, a.UID, a.Name, func(err error) {
		if err != nil {
			s.answer(c, m, nil, err)
			return
		}
		s.gate.cfg.Metrics.logins.Inc()
		s.answer(c, m, value.Of(map[string]any{"uid": a.UID, "name": a.Name, "new": a.New}), nil)
	})
}

// enter finds who handles the client's requests.
func (s *session) enter(c *actor.Context, uid, name string, then func(error)) {
	s.uid = uid
	if s.gate.cfg.Agent == "" {
		s.target = s.gate.cfg.First()
		then(nil)
		return
	}
	players, ok := c.System().Lookup(ServiceName)
	if !ok {
		then(&refusal{packet.Reason{Code: "shutdown", Msg: "the server is stopping"}})
		return
	}
	c.Detached(func() {
		c.AskFor(players, attach{uid, name}, attachTimeout, func(v any, err error) {
			if err != nil {
				s.tellGate(c, detach{uid, "login failed"})
				s.uid = ""
				then(err)
				return
			}
			s.target = v.(actor.Ref) //nolint:forcetypeassert // what attach is answered by
			then(nil)
		})
	})
}

// attachTimeout bounds the wait for an agent: an old one saves, a new one loads.
const attachTimeout = 15 * time.Second
