// Package gate lets clients in. It is where connections meet actors: a connection that has shaken hands gets a session, an actor that keeps its requests
// in order and speaks for the client, and a client that has logged in gets the agent of its player, a Lua service.
package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// ServiceName is the name under which a node's gate is found.
const ServiceName = "gate"

// Login is how clients tell who they are.
type Login string

// The ways.
const (
	LoginPassword Login = "password" // by the login service
	LoginGuest    Login = "guest"    // under whatever name they give
	LoginNone     Login = "none"     // not at all: each connection is somebody new
)

// Config tells a Gate what its clients get and may do. Runtime is needed, and Agent or First.
type Config struct {
	// Runtime makes the agents.
	Runtime *lua.Runtime
	// Agent is the script of a player's agent. Without one all requests go to the service that First finds.
	Agent string
	// First finds the service that gets requests when there is no Agent.
	First func() actor.Ref
	// Login is how clients tell who they are. Default LoginPassword.
	Login Login
	// Heartbeat is the interval that clients are told, in whole seconds; one that is silent for two of them is closed. Default 10 s.
	Heartbeat time.Duration
	// MaxQueue is how many requests of a session may wait for those before them; one more closes it. Default 128.
	MaxQueue int
	// Linger is how long an agent stays after its client is gone. 0: not at all.
	Linger time.Duration
	// Attempts is how many logins may fail before a connection is closed. Default 5.
	Attempts int
	// MaxPacket is the longest package of a client, in bytes. Default 64 KiB.
	MaxPacket int
	// Routes are short codes for routes, which clients learn in the handshake.
	Routes map[string]uint16
	// Transport are the limits of connections, the same for each transport.
	Transport transport.Config
	// Metrics counts; nil is fine.
	Metrics *Metrics
	// Log gets what operators should see. Default slog.Default().
	Log *slog.Logger
}

// Gate is the way in to one node.
type Gate struct {
	cfg       Config
	sys       *actor.System
	routes    *packet.Routes
	handshake []byte // the answer to every client's
}

// New checks the configuration.
func New(sys *actor.System, cfg Config) (*Gate, error) {
	if cfg.Runtime == nil || (cfg.Agent == "" && cfg.First == nil) {
		return nil, errors.New("gate: Config needs a Runtime, and an Agent or First")
	}
	if cfg.Login == "" {
		cfg.Login = LoginPassword
	}
	if cfg.Heartbeat <= 0 {
		cfg.Heartbeat = 10 * time.Second
	}
	cfg.Heartbeat = max(cfg.Heartbeat.Round(time.Second), time.Second)
	if cfg.MaxQueue <= 0 {
		cfg.MaxQueue = 128
	}
	if cfg.Attempts <= 0 {
		cfg.Attempts = 5
	}
	if cfg.MaxPacket <= 0 {
		cfg.MaxPacket = 64 << 10
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	routes, err := packet.NewRoutes(cfg.Routes)
	if err != nil {
		return nil, fmt.Errorf("gate: routes: %w", err)
	}
	g := &Gate{cfg: cfg, sys: sys, routes: routes}
	g.handshake, err = packet.AppendHandshake(nil, packet.HandshakeResponse{
		Code: packet.CodeOK,
		Sys:  packet.ServerSys{Heartbeat: cfg.Heartbeat.Seconds(), Dict: routes.Map(), Serializer: "json"},
	})
	if err != nil {
		return nil, fmt.Errorf("gate: handshake: %w", err)
	}
	return g, nil
}

// Spec is how to spawn the gate's actor. Sessions and agents are its children, so a stop of it saves all players.
func (g *Gate) Spec() actor.Spec {
	return actor.Spec{
		Name: ServiceName, StopTimeout: 30 * time.Second,
		New: func() actor.Actor {
			return &players{gate: g, byUID: map[string]*player{}, byAgent: map[actor.Ref]*player{}}
		},
	}
}

// players is the actor that knows who is in: each player has one agent and at most one session.
type players struct {
	gate    *Gate
	byUID   map[string]*player
	byAgent map[actor.Ref]*player
}

type player struct {
	uid, name string
	agent     actor.Ref
	session   actor.Ref // zero while there is no client
	ready     bool      // the agent's start has returned
	ending    bool      // the agent has been told to end
	linger    *actor.Timer
	waiting   []waiter // sessions that want to be attached
}

type waiter struct {
	session actor.Ref
	promise actor.Promise
}

// open asks for a session of a connection that has shaken hands: answered by its Ref.
type open struct{ link *link }

// attach asks for the player's agent: answered by its Ref once it knows the session.
type attach struct{ uid, name string }

// detach tells that a session has ended.
type detach struct{ uid, reason string }

// Receive handles what sessions ask for.
func (p *players) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case open:
		c.Reply(c.Spawn(actor.Spec{
			New:         func() actor.Actor { return &session{gate: p.gate, link: m.link} },
			Supervision: actor.Supervision{Limit: -1},
		}))
	case attach:
		p.attach(c, m)
	case detach:
		p.detach(c, m, c.From())
	case actor.Terminated:
		p.agentEnded(c, m)
	default:
		c.Reply(nil, fmt.Errorf("gate: %T is no message of the gate", msg))
	}
}

func (p *players) attach(c *actor.Context, m attach) {
	pl := p.byUID[m.uid]
	if pl == nil {
		pl = &player{uid: m.uid, name: m.name}
		p.byUID[m.uid] = pl
	}
	if old := pl.session; !old.IsZero() && old != c.From() {
		p.gate.cfg.Metrics.replaced.Inc()
		c.Send(old, kick{packet.Reason{Code: "replaced", Msg: "the player has logged in elsewhere"}})
		p.tellGone(c, pl, "replaced")
	}
	pl.session = actor.Ref{}
	if pl.linger != nil {
		pl.linger.Cancel()
		pl.linger = nil
	}
	// Of those who wait, only the newest gets in.
	for _, w := range pl.waiting {
		w.promise.Reply(nil, &refusal{packet.Reason{Code: "replaced", Msg: "the player has logged in elsewhere"}})
	}
	pl.waiting = []waiter{{c.From(), c.Promise()}}
	switch {
	case pl.ending: // agentEnded goes on: what the old agent saves must be there before a new one loads
	case pl.agent.IsZero():
		p.startAgent(c, pl)
	case pl.ready:
		p.welcome(c, pl)
	}
}

func (p *players) startAgent(c *actor.Context, pl *player) {
	pl.ending, pl.ready = false, false
	ref, err := c.Spawn(p.gate.cfg.Runtime.Spec(p.gate.cfg.Agent, value.Of(map[string]any{"uid": pl.uid, "name": pl.name})))
	if err != nil {
		p.refuse(pl, err)
		return
	}
	pl.agent = ref
	p.byAgent[ref] = pl
	c.Watch(ref)
	c.Detached(func() {
		c.Ask(ref, lua.Ready{}, func(_ any, err error) {
			if pl.agent != ref {
				return // it has ended meanwhile, and that was dealt with
			}
			if err != nil {
				p.refuse(pl, err)
				p.end(c, pl, err)
				return
			}
			pl.ready = true
			if len(pl.waiting) > 0 {
				p.welcome(c, pl)
			} else {
				p.startLinger(c, pl)
			}
		})
	})
}

// refuse tells those who wait for the agent that there will be none.
func (p *players) refuse(pl *player, err error) {
	for _, w := range pl.waiting {
		w.promise.Reply(nil, err)
	}
	pl.waiting = nil
	if pl.agent.IsZero() {
		delete(p.byUID, pl.uid)
	}
}

// welcome attaches the session that waits.
func (p *players) welcome(c *actor.Context, pl *player) {
	w := pl.waiting[0]
	pl.waiting = nil
	pl.session = w.session
	agent := pl.agent
	c.Detached(func() {
		c.Ask(agent, lua.Command("connect", int64(w.session.ID())), func(_ any, err error) {
			var none *lua.NoHandlerError
			if err != nil && !errors.As(err, &none) {
				w.promise.Reply(nil, err)
				return
			}
			w.promise.Reply(agent, nil)
		})
	})
}

func (p *players) detach(c *actor.Context, m detach, session actor.Ref) {
	pl := p.byUID[m.uid]
	if pl == nil {
		return
	}
	if len(pl.waiting) > 0 && pl.waiting[0].session == session {
		pl.waiting = nil
	}
	if pl.session != session {
		return // it was replaced, and the agent knows
	}
	p.tellGone(c, pl, m.reason)
	pl.session = actor.Ref{}
	p.startLinger(c, pl)
}

// tellGone calls the agent's disconnect.
func (p *players) tellGone(c *actor.Context, pl *player, reason string) {
	if pl.agent.IsZero() || pl.session.IsZero() {
		return
	}
	id := int64(pl.session.ID())
	c.Detached(func() {
		c.Ask(pl.agent, lua.Command("disconnect", id, reason), func(_ any, err error) {
			var none *lua.NoHandlerError
			if err != nil && !errors.As(err, &none) && !errors.Is(err, actor.ErrStopped) {
				c.Log().Warn("agent's disconnect failed", "player", pl.uid, "error", err)
			}
		})
	})
}

func (p *players) startLinger(c *actor.Context, pl *player) {
	if pl.ending || pl.agent.IsZero() {
		return
	}
	agent := pl.agent
	leave := func() {
		if pl.agent == agent && pl.session.IsZero() && len(pl.waiting) == 0 {
			p.end(c, pl, nil)
		}
	}
	if p.gate.cfg.Linger <= 0 {
		leave()
		return
	}
	c.Detached(func() { pl.linger = c.After(p.gate.cfg.Linger, leave) })
}

// end stops the agent; agentEnded hears when it has saved and is gone.
func (p *players) end(c *actor.Context, pl *player, why error) {
	pl.ending, pl.ready = true, false
	c.Stop(pl.agent, why)
}

// agentEnded forgets an agent, and makes the next one if somebody waits for it.
func (p *players) agentEnded(c *actor.Context, m actor.Terminated) {
	pl := p.byAgent[m.Ref]
	if pl == nil {
		return
	}
	delete(p.byAgent, m.Ref)
	pl.agent, pl.ending, pl.ready = actor.Ref{}, false, false
	if !pl.session.IsZero() {
		c.Log().Error("agent ended while its player was in", "player", pl.uid, "reason", m.Reason)
		c.Send(pl.session, kick{packet.Reason{Code: "agent_ended", Msg: "the game had to end your session; log in again"}})
		pl.session = actor.Ref{}
	}
	if len(pl.waiting) > 0 {
		p.startAgent(c, pl)
		return
	}
	delete(p.byUID, pl.uid)
}
