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
func (s *session) login() {
	body, err := s.parse(s.now)
	if err != nil {
		s.badBody(err)
		return
	}
	name, ok := body.Get("name").Str()
	if !ok {
		s.refuse(answerBadRequest, `a login needs "name", a string`)
		return
	}
	var question any = login.Guest{Name: name}
	if s.gate.cfg.Login == LoginPassword {
		password, ok := body.Get("password").Str()
		if !ok {
			s.refuse(answerBadRequest, `a login needs "password", a string`)
			return
		}
		question = login.Password{Name: name, Password: password, Addr: s.addr()}
	}
	service, ok := s.c.System().Lookup(login.ServiceName)
	if !ok {
		s.denied(&login.Error{Code: login.Unavailable, Msg: "nobody can log in now"})
		return
	}
	s.c.Ask(service, question, func(v any, err error) {
		switch {
		case s.closed: // it left meanwhile: who it is does not matter any more
		case err != nil:
			s.denied(err)
		default:
			s.known(v.(login.Account)) //nolint:forcetypeassert // what a login is answered by
		}
	})
}

// denied answers a login that failed; too many guesses close the connection. Failures of the server are not the client's guesses.
func (s *session) denied(err error) {
	s.gate.cfg.Metrics.denied.Inc()
	s.write(value.Value{}, nil, err)
	if login.Guessed(err) {
		s.fails++
	}
	if s.fails >= s.gate.cfg.Attempts {
		s.end(&refusal{packet.Reason{Code: kickDenied, Msg: "too many failed logins on this connection"}})
		s.shut()
	}
	s.next()
}

// known goes on with a client whose name is known.
func (s *session) known(a login.Account) {
	s.enter(a.UID, a.Name, func(err error) {
		if err != nil {
			s.gate.cfg.Metrics.denied.Inc()
			s.answered(nil, err)
			return
		}
		s.gate.cfg.Metrics.logins.Inc()
		s.write(value.Of(map[string]any{"uid": a.UID, "name": a.Name, "new": a.New}).At(0), nil, nil)
		s.next()
	})
}

// errNobody is a login while there is nobody to take requests.
var errNobody = errors.New("gate: nobody takes requests: the first service is not running")

// enter finds who handles the client's requests.
func (s *session) enter(uid, name string, then func(error)) {
	if s.gate.cfg.Agent != "" {
		s.attach(uid, name, then)
		return
	}
	if s.gate.cfg.Handle == nil {
		if s.target = s.gate.cfg.First(); s.target.IsZero() {
			then(errNobody)
			return
		}
	}
	s.entered(uid, name)
	s.welcome = true
	s.tell(Connected, "")
	then(nil)
}

// attach gets the player's agent from the gate.
func (s *session) attach(uid, name string, then func(error)) {
	players, ok := s.c.System().Lookup(s.gate.cfg.Name)
	if !ok {
		then(&refusal{packet.Reason{Code: answerShutdown, Msg: "the server is stopping"}})
		return
	}
	s.claim(uid)
	s.c.Within(s.c.Span(), func() {
		s.c.AskFor(players, attach{uid, name}, attachTimeout, func(v any, err error) {
			switch {
			case s.closed: // it left or was replaced meanwhile, and the gate knows
			case err != nil:
				s.leave("failed")
				s.claim("")
				then(err)
			default:
				s.target = v.(actor.Ref) //nolint:forcetypeassert // what attach is answered by
				s.entered(uid, name)
				s.welcome = true
				then(nil)
			}
		})
	})
}

// claim notes who the client is about to be.
func (s *Session) claim(uid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state.uid = uid
}
