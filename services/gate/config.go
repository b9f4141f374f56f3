package gate

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/packet"
	"github.com/skua-go/skua/net/transport"
)

// ServiceName is the name of a node's main gate.
const ServiceName = "gate"

// Login is how clients tell who they are.
type Login string

// The ways.
const (
	LoginPassword Login = "password" // by the login service
	LoginGuest    Login = "guest"    // under a name that they give, which nobody else checks
	LoginNone     Login = "none"     // not at all: each session is somebody new
)

// Rate is a token bucket: Burst at once (default: one second's), PerSecond in the long run.
type Rate struct {
	PerSecond float64
	Burst     int
}

// Config tells a Gate what its clients get and may do. Needed is who handles requests: Runtime with Agent, First, or Handle.
type Config struct {
	// Name tells the gates of one node apart: it is the name of the gate's actor and a label of its metrics. Default ServiceName.
	Name string
	// Sessions knows the sessions of all gates that share it, so that scripts can push to any of them. Default: one of the gate's own.
	Sessions *Sessions

	// Runtime makes the agents.
	Runtime *lua.Runtime
	// Agent is the script of a player's agent. Without one all requests go to the service that First finds.
	Agent string
	// SharedVMs has agents share VMs, see lua.Launch: a quarter of the memory, and a request finds its script in the processor's caches. What the script keeps outside of
	// its handlers' self is then one for many players, and the system needs the Runtime's launcher.
	SharedVMs bool
	// First finds the service that gets the requests of all clients when there is no Agent. It handles messages of type client: route, body, session, and the
	// player's uid. Nobody tells it who comes and goes.
	First func() actor.Ref
	// Handle handles requests and notifies in Go, instead of Agent and First: one at a time a session, in the session's actor, so it must not block. See Request.
	Handle func(c *actor.Context, r *Request)
	// OnSession, when set, is told in the session's actor of its changes; only for gates with Handle. Connected comes before the first request and
	// Disconnected last. A player's next login ends the session before; what these two are told may overlap. It must not block.
	OnSession func(c *actor.Context, s *Session, e Event)

	// Login is how clients tell who they are. Default LoginPassword.
	Login Login
	// Attempts is how many logins may fail before a connection is closed. Default 5.
	Attempts int
	// LoginTimeout is how long a client may take to log in, from the end of its handshake; one that has not by then is closed, so that strangers hold no place
	// for long. Default 2 min: who types a password needs some time. Negative: for ever.
	LoginTimeout time.Duration
	// Linger is how long an agent stays after its client is gone. 0: not at all, but it is told first.
	Linger time.Duration

	// Codec names what the bytes of connections are, see packet.Codec. Default packet.CodecPomelo. The others have no handshake, so Login must be LoginNone:
	// a session begins with its connection, each frame is a request of route packet.DataRoute with a string, and a string that the handler
	// returns is a frame.
	Codec string
	// Bodies encodes the bodies of requests, answers and pushes. Default codec.JSON. Codecs other than pomelo have strings, whatever this is.
	Bodies codec.Format
	// Routes are short codes for routes, which clients learn in the handshake.
	Routes map[string]uint16
	// Heartbeat is the interval that clients are told, in whole seconds; one that is silent for two and a half of them is closed. Default 10 s.
	Heartbeat time.Duration
	// MaxPacket is the longest package of a client, in bytes. Default 64 KiB.
	MaxPacket int
	// GzipFrom is how many bytes the body of an answer or a push has at least that is sent compressed to clients that can inflate it, see packet.ClientSys; of codec
	// pomelo. That takes a core some 35 µs, and 25 µs for each KiB: for each answer, and once for a push, however many get it. 0: none.
	GzipFrom int
	// MaxQueue is how many requests and notifies of a session may be unanswered; one more closes it, and so does more than 1 MiB of them. Default 128.
	MaxQueue int
	// Rates bounds how often a session may request or notify a route; what comes faster is answered with too_fast, and not handled. The route "*" is each
	// of those that have no rate of their own, together.
	Rates map[string]Rate

	// ResumeWindow is how long a session waits for its client after the connection was lost, if the client knows resume. Default 60 s; negative: not at all,
	// no session is resumed. Long is kind to travellers, and keeps the agents of those who will not come back.
	ResumeWindow time.Duration
	// RingPackages and RingBytes are what a session keeps of the packages that its client has not acknowledged. A client that lacks more than
	// that must log in again. Default 1,024 packages and 256 KiB.
	RingPackages, RingBytes int
	// AllRingBytes bounds what all sessions keep together, each of a broadcast's packages counted for each of its sessions. When it is reached, a session that is
	// sent something forgets what it keeps, or ends if it waits for its client. Default 512 MiB.
	AllRingBytes int64
	// MaxWaiting is how many sessions may wait for their clients; one more ends the one that has waited longest. Default 10,000.
	MaxWaiting int
	// MaxKeys is how many pushes of class latest with different keys may wait for a session; one more drops the oldest of them. Default 256.
	MaxKeys int

	// Transport are the limits of connections, the same for each transport. Its Backlog is what may wait for a client before it is too slow; for those that
	// know resume it is at least RingBytes.
	Transport transport.Config
	// Others are the other nodes: sessions go on there and come from there, and players' agents may be there. All of them need gates with the same Name, Codec, Bodies, Routes and MaxPacket. Nil: this
	// gate is alone.
	Others *Others
	// PackData and UnpackData have Session.Data go along to another node, for gates with Handle. Without them it is nil there. PackData is called in the session's actor, UnpackData before its
	// first request; neither may block.
	PackData   func(data any) ([]byte, error)
	UnpackData func(data []byte) (any, error)

	// Media takes media packages, of codec pomelo. Nil: this gate has no rooms.
	Media *Media

	// Metrics counts; nil is fine. Gates of one node need one each.
	Metrics *Metrics
	// Log gets what operators should see. Default slog.Default().
	Log *slog.Logger
}

func (cfg *Config) defaults() {
	cfg.Name = or(cfg.Name, ServiceName)
	cfg.Login = or(cfg.Login, LoginPassword)
	cfg.Codec = or(cfg.Codec, packet.CodecPomelo)
	cfg.Heartbeat = or(cfg.Heartbeat, 10*time.Second)
	cfg.Heartbeat = max(cfg.Heartbeat.Round(time.Second), time.Second)
	cfg.ResumeWindow = or(cfg.ResumeWindow, time.Minute)
	cfg.LoginTimeout = or(cfg.LoginTimeout, 2*time.Minute)
	for _, n := range []struct {
		v   *int
		def int
	}{
		{&cfg.MaxQueue, 128},
		{&cfg.Attempts, 5},
		{&cfg.MaxPacket, 64 << 10},
		{&cfg.RingPackages, 1024},
		{&cfg.RingBytes, 256 << 10},
		{&cfg.MaxWaiting, 10_000},
		{&cfg.MaxKeys, 256},
	} {
		if *n.v <= 0 {
			*n.v = n.def
		}
	}
	if cfg.AllRingBytes <= 0 {
		cfg.AllRingBytes = 512 << 20
	}
	cfg.Transport.Backlog = or(cfg.Transport.Backlog, 256<<10)
	if cfg.Sessions == nil {
		cfg.Sessions = NewSessions()
	}
	if cfg.Codec != packet.CodecPomelo {
		cfg.Bodies = codec.Raw{}
	}
	if cfg.Bodies == nil {
		cfg.Bodies = codec.JSON{}
	}
	if cfg.Metrics == nil {
		cfg.Metrics = NewMetrics()
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
}

// or is v, or def for a v that says nothing.
func or[T comparable](v, def T) T {
	var zero T
	if v == zero {
		return def
	}
	return v
}

func (cfg *Config) check() error {
	if cfg.Handle == nil && cfg.First == nil && (cfg.Runtime == nil || cfg.Agent == "") {
		return errors.New("gate: Config needs a Runtime and an Agent, or First, or Handle")
	}
	if cfg.Handle != nil && cfg.Agent != "" {
		return fmt.Errorf("gate: Config has both Handle and Agent %q, expected one of them", cfg.Agent)
	}
	switch cfg.Login {
	case LoginPassword, LoginGuest, LoginNone:
	default:
		return fmt.Errorf("gate: Config.Login is %q, expected %q, %q or %q", cfg.Login, LoginPassword, LoginGuest, LoginNone)
	}
	if cfg.Codec != packet.CodecPomelo && cfg.Login != LoginNone {
		return fmt.Errorf("gate: Config.Login is %q, but codec %q has no requests to log in with: expected %q", cfg.Login, cfg.Codec, LoginNone)
	}
	for route, r := range cfg.Rates {
		if !(r.PerSecond > 0) || math.IsInf(r.PerSecond, 0) || r.Burst < 0 || len(route) > packet.MaxRoute {
			return fmt.Errorf("gate: Config.Rates[%.32q] is %+v, expected a route of at most %d bytes and more than 0 a second", route, r, packet.MaxRoute)
		}
	}
	return nil
}
