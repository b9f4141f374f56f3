// Package gate lets clients in. It is where connections meet actors: a connection that has shaken hands gets a session, an actor that keeps its requests
// in order and speaks for the client, and a client that has logged in gets the agent of its player, a Lua service.
package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/skua-go/skua/actor"
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
	LoginGuest    Login = "guest"    // under a name that they give, which nobody else checks
	LoginNone     Login = "none"     // not at all: each connection is somebody new
)

// Config tells a Gate what its clients get and may do. Runtime is needed, and Agent or First.
type Config struct {
	// Runtime makes the agents.
	Runtime *lua.Runtime
	// Agent is the script of a player's agent. Without one all requests go to the service that First finds.
	Agent string
	// First finds the service that gets the requests of all clients when there is no Agent. It handles messages of type client: route, body, session, and the
	// player's uid. Nobody tells it who comes and goes, and a player may be in more than once.
	First func() actor.Ref
	// Login is how clients tell who they are. Default LoginPassword.
	Login Login
	// Heartbeat is the interval that clients are told, in whole seconds; one that is silent for two of them is closed. Default 10 s.
	Heartbeat time.Duration
	// MaxQueue is how many requests and notifies of a session may be unanswered; one more closes it, and so does more than 1 MiB of them. Default 128.
	MaxQueue int
	// Linger is how long an agent stays after its client is gone. 0: not at all, but it is told first.
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

func (cfg *Config) defaults() {
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
}

func (cfg *Config) check() error {
	if cfg.Runtime == nil || (cfg.Agent == "" && cfg.First == nil) {
		return errors.New("gate: Config needs a Runtime, and an Agent or First")
	}
	switch cfg.Login {
	case LoginPassword, LoginGuest, LoginNone:
		return nil
	}
	return fmt.Errorf("gate: Config.Login is %q, expected %q, %q or %q", cfg.Login, LoginPassword, LoginGuest, LoginNone)
}

// New checks the configuration.
func New(sys *actor.System, cfg Config) (*Gate, error) {
	cfg.defaults()
	if err := cfg.check(); err != nil {
		return nil, err
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
			return &players{gate: g, byUID: map[string]*player{}, byAgent: map[actor.Ref]*player{}, clients: map[actor.Ref]*client{}}
		},
	}
}
