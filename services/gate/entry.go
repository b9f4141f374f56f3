package gate

import (
	"errors"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

const loginRoute = "login"

// login finds out who the client is, and lets it in.
func (s *session) login(c *actor.Context, m inbound, body value.Value) {
	name, ok := body.Get("name").Str()
	if !ok {
		s.refuse(c, m, answerBadRequest, `a login needs "name", a string`)
		return
	}
	var question any = login.Guest{Name: name}
	if s.gate.cfg.Login == LoginPassword {
		password, ok := body.Get("password").Str()
		if !ok {
			s.refuse(c, m, answerBadRequest, `a login needs "password", a string`)
			return
		}
		question = login.Password{Name: name, Password: password, Addr: s.link.addr()}
	}
	service, ok := c.System().Lookup(login.ServiceName)
	if !ok {
		s.denied(c, m, &login.Error{Code: login.Unavailable, Msg: "nobody can log in now"})
		return
	}
	c.Ask(service, question, func(v any, err error) {
		switch {
		case s.closed: // it left meanwhile: who it is does not matter any more
		case err != nil:
			s.denied(c, m, err)
		default:
			s.known(c, m, v.(login.Account)) //nolint:forcetypeassert // what a login is answered by
		}
	})
}

// denied answers a login that failed; too many guesses close the connection. Failures of the server are not the client's guesses.
func (s *session) denied(c *actor.Context, m inbound, err error) {
	s.gate.cfg.Metrics.denied.Inc()
	s.write(c, m, nil, err)
	if login.Guessed(err) {
		s.fails++
	}
	if s.fails >= s.gate.cfg.Attempts {
		s.close(packet.Reason{Code: kickDenied, Msg: "too many failed logins on this connection"})
	}
	s.finished(c)
}

// known goes on with a client whose name is known.
func (s *session) known(c *actor.Context, m inbound, a login.Account) {
	s.enter(c, a.UID, a.Name, func(err error) {
		if err != nil {
			s.gate.cfg.Metrics.denied.Inc()
			s.answer(c, m, nil, err)
			return
		}
		s.gate.cfg.Metrics.logins.Inc()
		s.answer(c, m, value.Of(map[string]any{"uid": a.UID, "name": a.Name, "new": a.New}), nil)
	})
}

// errNobody is a login while there is nobody to take requests.
var errNobody = errors.New("gate: nobody takes requests: the first service is not running")

// enter finds who handles the client's requests.
func (s *session) enter(c *actor.Context, uid, name string, then func(error)) {
	if s.gate.cfg.Agent == "" {
		first := s.gate.cfg.First()
		if first.IsZero() {
			then(errNobody)
			return
		}
		s.uid, s.target = uid, first
		then(nil)
		return
	}
	players, ok := c.System().Lookup(ServiceName)
	if !ok {
		then(&refusal{packet.Reason{Code: answerShutdown, Msg: "the server is stopping"}})
		return
	}
	s.uid = uid
	c.Within(c.Span(), func() {
		c.AskFor(players, attach{uid, name}, attachTimeout, func(v any, err error) {
			switch {
			case s.closed: // it left or was replaced meanwhile, and the gate knows
			case err != nil:
				s.leave(c, "failed")
				s.uid = ""
				then(err)
			default:
				s.target = v.(actor.Ref) //nolint:forcetypeassert // what attach is answered by
				then(nil)
			}
		})
	})
}
