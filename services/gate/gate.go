// Package gate lets clients in. It is where connections meet actors: a connection that has shaken hands gets a session, an actor that keeps its requests
// in order and speaks for the client, and a client that has logged in gets the agent of its player, a Lua service. Or a Go handler gets the requests.
//
// place.go is what a session is, resume.go how it goes from one connection to another, out.go how it sends, queue.go how it is sent to;
// session.go is its actor, link.go a connection, players.go who is in.
package gate

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/packet"
)

// Gate is the way in to one node.
type Gate struct {
	cfg       Config
	sys       *actor.System
	codec     packet.Codec
	welcome   *packet.Welcome
	hello     []byte // the answer to handshakes of clients without resume
	rates     rates
	tokens    *tokens
	waiting   waiting
	outs      outs
	newest    newest
	others    *others // nil for a gate of a single node
	draining  atomic.Bool
	maxQueued int // bytes of unanswered requests a session
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
	g := &Gate{
		cfg: cfg, sys: sys, rates: newRates(cfg.Rates), tokens: newTokens(cfg.MaxWaiting), waiting: waiting{limit: cfg.MaxWaiting},
		maxQueued: max(maxQueued, 2*cfg.MaxPacket),
	}
	g.codec, err = packet.NewCodec(cfg.Codec, packet.CodecConfig{MaxBody: cfg.MaxPacket, Routes: routes, GzipFrom: cfg.GzipFrom})
	if err != nil {
		return nil, fmt.Errorf("gate: Config.Codec: %w", err)
	}
	told := packet.ServerSys{Heartbeat: cfg.Heartbeat.Seconds(), Dict: routes.Map(), Serializer: cfg.Bodies.Name()}
	if cfg.Media != nil {
		told.Media = &cfg.Media.Offer
	}
	g.welcome, err = packet.NewWelcome(packet.HandshakeResponse{Code: packet.CodeOK, Sys: told})
	if err != nil {
		return nil, fmt.Errorf("gate: handshake: %w", err)
	}
	if g.hello, err = g.welcome.Append(nil, nil); err != nil {
		return nil, fmt.Errorf("gate: handshake: %w", err)
	}
	if g.others, err = newOthers(&cfg); err != nil {
		return nil, err
	}
	cfg.Metrics.waiting = g.waiting.size
	cfg.Sessions.join(g)
	return g, nil
}

// Name is Config.Name.
func (g *Gate) Name() string { return g.cfg.Name }

// Sessions are the gate's and those of the gates that share Config.Sessions with it.
func (g *Gate) Sessions() *Sessions { return g.cfg.Sessions }

// resumes tells whether clients may go on with their sessions.
func (g *Gate) resumes() bool { return g.cfg.ResumeWindow > 0 && !g.codec.Bare() }

// Spec is how to spawn the gate's actor. Sessions and agents are its children, so a stop of it saves all players.
func (g *Gate) Spec() actor.Spec {
	return actor.Spec{
		Name: g.cfg.Name, StopTimeout: 30 * time.Second,
		New: func() actor.Actor {
			return &players{gate: g, byUID: map[string]*player{}, byAgent: map[actor.Ref]*player{}}
		},
	}
}
