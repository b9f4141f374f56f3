package gate

import (
	"errors"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/services/login"
)

const loginRoute = "login"

// login finds out who the client is, and lets it in.
func (s *session) login() {
	body, err := codec.Parse(s.loginFormat(), s.now.route, codec.Request, s.now.body)
	if err != nil {
		s.badBody(err)
		return
	}
	s.identify(body, func(a login.Account, err error) {
		if err != nil {
			s.denied(err)
			return
		}
		s.known(&a)
	})
}

// identify asks who it is that has sent this as its login; then is called unless the client has left meanwhile.
func (s *session) identify(body value.Value, then func(login.Account, error)) {
	question := login.Request{Body: body, Addr: s.addr()}
	switch s.gate.cfg.Login {
	case LoginGuest:
		question.Method = login.MethodGuest
	case LoginNone:
		question.Method = login.MethodNone
	case LoginPassword: // or whatever else the service is told to take
	}
	service, ok := s.c.System().Lookup(login.ServiceName)
	switch {
	case !ok && s.gate.cfg.Login == LoginNone: // a node that never asks has no need of the service
		then(login.Account{UID: login.NewUID()}, nil)
		return
	case !ok:
		then(login.Account{}, &login.Error{Code: login.Unavailable, Msg: "nobody can log in now"})
		return
	}
	s.c.Ask(service, question, func(v any, err error) {
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
func (s *session) known(a *login.Account) {
	s.enter(a, func(err error) {
		if err != nil {
			s.gate.cfg.Metrics.denied.Inc()
			s.answered(nil, err)
			return
		}
		s.gate.cfg.Metrics.logins.Inc()
		s.welcomed(value.Of(welcome(a)).At(0))
		s.next()
	})
}

// loginFormat is how a login is encoded: as all bodies are, but one can't be told in a string.
func (s *session) loginFormat() codec.Format {
	if s.gate.cfg.Bodies.Name() == (codec.Raw{}).Name() {
		return codec.JSON{}
	}
	return s.gate.cfg.Bodies
}

// welcomed answers a login.
func (s *session) welcomed(answer value.Value) {
	body, err := s.loginFormat().Append([]byte{}, loginRoute, codec.Response, answer)
	s.write(value.Value{}, body, err)
}

// welcome is the answer to a login.
func welcome(a *login.Account) map[string]any {
	answer := map[string]any{"uid": a.UID, "name": a.Name, "new": a.New}
	if a.Token != "" {
		answer["token"], answer["expires"] = a.Token, a.Expires.Unix()
	}
	return answer
}

// errNobody is a login while there is nobody to take requests.
var errNobody = errors.New("gate: nobody takes requests: the first service is not running")

// enter finds who handles the client's requests.
func (s *session) enter(a *login.Account, then func(error)) {
	if why := s.claimName(a.UID, a.Turn); why != nil {
		then(why)
		return
	}
	if s.gate.cfg.Agent != "" {
		s.attach(a, then)
		return
	}
	if s.gate.cfg.Handle == nil {
		first := s.gate.cfg.First()
		if first.IsZero() {
			then(errNobody)
			return
		}
		s.aim(first)
	}
	if s.gate.cfg.Login != LoginNone { // else each session is somebody new
		s.stamp = stamp{At: s.gate.sys.Now().UnixNano(), Node: s.gate.sys.Node().Name(), N: s.ref.ID()}
		s.replace(a.UID, s.stamp)
		s.replaceElsewhere(a.UID)
	}
	s.letIn(a)
	s.tell(Connected, "")
	then(nil)
}

// attach gets the player's agent.
func (s *session) attach(a *login.Account, then func(error)) {
	s.stamp = stamp{At: s.gate.sys.Now().UnixNano(), Node: s.gate.sys.Node().Name(), N: s.ref.ID()}
	s.c.Within(s.c.Span(), func() {
		s.seek(attach{UID: a.UID, Name: a.Name, Stamp: s.stamp}, func(v attached, err error) {
			switch {
			case s.closed: // it left or was replaced meanwhile, and the gate knows, but for what stands in for it
				if v.Handle != s.ref && !v.Handle.IsZero() {
					s.c.Send(v.Handle, ended{packet.Reason{Code: goneLeft}, packet.ResumeUnknown})
				}
			case err != nil:
				s.leave(goneFailed)
				_ = s.claimName("", 0)
				then(err)
			default:
				s.housed(v)
				s.letIn(a)
				then(nil)
			}
		})
	})
}

// seek asks the gate that is to have the player for an agent.
func (s *session) seek(m attach, then func(attached, error)) {
	m.Inflates = s.state.inflates
	s.gate.playersOf(s.c, m.UID, func(players actor.Ref, err error) {
		if err != nil {
			then(attached{}, err)
			return
		}
		if s.home = (actor.Ref{}); players.IsRemote() {
			s.home, m.Print = players, s.gate.others.prints
		}
		s.c.AskFor(players, m, attachTimeout, func(v any, err error) {
			got, _ := v.(attached)
			then(got, err)
		})
	})
}

// playersOf finds the gate's actor that is to have a player: this node's, or that of another one.
func (g *Gate) playersOf(c *actor.Context, uid string, then func(actor.Ref, error)) {
	if g.others != nil {
		m, ok := g.others.home(uid)
		switch {
		case !ok:
			then(actor.Ref{}, &refusal{packet.Reason{Code: answerUnavailable, Msg: "there is no node for players"}})
			return
		case m.Name != g.others.own():
			g.others.find(c, m, then)
			return
		}
	}
	players, ok := c.System().Lookup(g.cfg.Name)
	if !ok {
		then(actor.Ref{}, &refusal{packet.Reason{Code: answerShutdown, Msg: "the server is stopping"}})
		return
	}
	then(players, nil)
}

// housed notes the agent, and what stands in for the session there.
func (s *session) housed(v attached) {
	s.aim(v.Agent)
	s.alias, s.home = v.Handle, actor.Ref{}
	if s.alias.IsRemote() {
		s.c.Watch(s.alias)
	}
}

// orphaned has the session get another agent: the node of the one that it had is gone, or is about to go. Its requests wait.
func (s *session) orphaned() {
	if s.homeless {
		return
	}
	old := s.alias
	s.homeless, s.rehoming = true, false
	s.target, s.alias, s.near = actor.Ref{}, actor.Ref{}, false
	s.agent.Store(0)
	s.gate.cfg.Metrics.rehomed.Inc()
	s.c.Detached(func() {
		s.seek(attach{UID: s.UID(), Name: s.state.name, Stamp: s.stamp, Old: old}, func(v attached, err error) { s.rehomed(old, v, err) })
	})
}

// rehomed goes on with the agent that the session has been given.
func (s *session) rehomed(old actor.Ref, v attached, err error) {
	if old.IsRemote() { // to the node before, the session has gone
		s.c.Unwatch(old)
		s.c.Send(old, ended{packet.Reason{Code: kickMoved}, packet.ResumeUnknown})
	}
	switch {
	case s.closed:
		if v.Handle != s.ref && !v.Handle.IsZero() {
			s.c.Send(v.Handle, ended{packet.Reason{Code: goneLeft}, packet.ResumeUnknown})
		}
	case err != nil:
		s.c.Log().Error("a player has no agent any more", "player", s.UID(), "error", err)
		s.end(&refusal{packet.Reason{Code: kickAgentEnded, Msg: "the game had to end your session; log in again"}})
	default:
		s.homeless = false
		s.housed(v)
		if s.told {
			s.tell(Away, goneLost)
		}
		s.next()
	}
}

// replaceElsewhere ends the sessions that the player has at gates of other nodes, which have no agents.
func (s *session) replaceElsewhere(uid string) {
	o := s.gate.others
	if o == nil {
		return
	}
	for _, m := range o.reachable() {
		s.c.Detached(func() {
			o.find(s.c, m, func(to actor.Ref, err error) {
				if err == nil {
					s.c.Ask(to, yield{UID: uid, Stamp: s.stamp}, func(v any, _ error) {
						if newer, _ := v.(yielded); newer.Newer {
							s.end(&refusal{loggedInElsewhere})
						}
					})
				}
			})
		})
	}
}

// aim notes who handles the client's requests from now on.
func (s *session) aim(at actor.Ref) {
	s.target = at
	s.near = false
	s.agent.Store(0)
	if !at.IsRemote() && !at.IsZero() {
		s.near = s.gate.cfg.Agent != "" // else it may be no script
		s.agent.Store(at.ID())
	}
}

// claimName notes who the client is about to be; an error is why that can't be any more.
func (s *Session) claimName(uid string, turn uint64) error {
	s.mu.Lock()
	s.state.uid, s.state.turn = uid, turn
	s.mu.Unlock()
	if why := s.gate.outs.concern(uid, turn); why != nil {
		return why
	}
	return nil
}
