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
	s.identify(c, body, func(acc login.Account, err error) {
		if err != nil {
			s.denied(c, m, err)
			return
		}
		s.known(c, m, acc)
	})
}

// identify asks who it is that has sent this as its login; then is called unless the client has left meanwhile.
func (s *session) identify(c *actor.Context, body value.Value, then func(login.Account, error)) {
	question := login.Request{Body: body, Addr: s.link.addr()}
	switch s.gate.cfg.Login {
	case LoginGuest:
		question.Method = login.MethodGuest
	case LoginNone:
		question.Method = login.MethodNone
	case LoginPassword: // or whatever else the service is told to take
	}
	service, ok := c.System().Lookup(login.ServiceName)
	switch {
	case !ok && s.gate.cfg.Login == LoginNone: // a node that never asks has no need of the service
		then(login.Account{UID: login.NewUID()}, nil)
		return
	case !ok:
		then(login.Account{}, &login.Error{Code: login.Unavailable, Msg: "nobody can log in now"})
		return
	}
	c.Ask(service, question, func(v any, err error) {
		switch {
		case s.closed: // it left meanwhile: who it is does not matter any more
		case err != nil:
			then(login.Account{}, err)
		default:
			then(v.(login.Account), nil) //nolint:forcetypeassert // what a login is answered by
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
	s.enter(c, a, func(err error) {
		if err != nil {
			s.gate.cfg.Metrics.denied.Inc()
			s.answer(c, m, nil, err)
			return
		}
		s.gate.cfg.Metrics.logins.Inc()
		s.answer(c, m, value.Of(welcome(a)), nil)
	})
}

// welcome is the answer to a login.
func welcome(a login.Account) map[string]any {
	answer := map[string]any{"uid": a.UID, "name": a.Name, "new": a.New}
	if a.Token != "" {
		answer["token"], answer["expires"] = a.Token, a.Expires.Unix()
	}
	return answer
}

// errNobody is a login while there is nobody to take requests.
var errNobody = errors.New("gate: nobody takes requests: the first service is not running")

// enter finds who handles the client's requests.
func (s *session) enter(c *actor.Context, a login.Account, then func(error)) {
	players, ok := c.System().Lookup(ServiceName)
	if !ok {
		then(&refusal{packet.Reason{Code: answerShutdown, Msg: "the server is stopping"}})
		return
	}
	if s.gate.cfg.Agent == "" {
		first := s.gate.cfg.First()
		if first.IsZero() {
			then(errNobody)
			return
		}
		s.uid, s.target = a.UID, first
		c.Send(players, named{a.UID, a.Turn})
		then(nil)
		return
	}
	s.uid = a.UID
	c.Within(c.Span(), func() {
		c.AskFor(players, attach{a.UID, a.Name, a.Turn}, attachTimeout, func(v any, err error) {
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
