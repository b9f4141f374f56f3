package acceptance_test

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/admin"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// What the node under attack allows.
const (
	handshakeTime   = 2 * time.Second
	mostHalfOpen    = 256
	mostOfOneNet    = 64
	mostRaw         = 1000
	mostKCP         = 5000
	packetsASecond  = 500
	floodBacklog    = 256 << 10
	mostUnanswered  = 64
	mostPacket      = 16 << 10
	shopsASecond    = 5
	jwtSecret       = "a secret that the issuer and the node share"
	jwtOfTheOthers  = "a secret that somebody else has, as long as that"
	sessionTokenKey = "a key for the tokens of sessions, 32 bytes or more"
)

// gameAgent is what players talk to.
const gameAgent = `
local skynet = require "skynet"
local gate = require "gate"
local M = { client = {} }
function M.client.echo(self, request) return request end
function M.client.think(self, request)
  local x = 0
  for i = 1, request do x = x + i % 7 end
  return request
end
function M.client.shop(self, request) return request end
function M.client.wait(self, request) skynet.sleep(50) return request end
function M.client.flood(self, request, session)
  local pad = string.rep("x", 1000)
  for i = 1, request.n do gate.push(session, "flood", pad) end
  return true
end
return M`

// serveNode runs a node until its standard input ends, and returns the exit code. It tells where its doors are.
func serveNode() int {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := runNode(log); err != nil {
		log.Error("node", "error", err)
		return 1
	}
	return 0
}

func runNode(log *slog.Logger) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := &node{dialer: dialer{addrs: map[string]string{}}, metrics: gate.NewMetrics(), kcp: map[string]*kcp.Stats{}}
	sys := actor.New(actor.Config{Log: log})
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: os.Getenv(dirVariable)})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	modules := []lua.Module{{Name: "gate", Open: func(h *lua.Host, s vm.State) { n.gate.Module().Open(h, s) }}}
	tree := fstest.MapFS{"agent.lua": &fstest.MapFile{Data: []byte(gameAgent)}}
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Modules: modules, Log: log})
	if err != nil {
		return err
	}
	if n.gate, err = gate.New(sys, gate.Config{
		Runtime: rt, Agent: "agent", Metrics: n.metrics, Log: log, MaxQueue: mostUnanswered, MaxPacket: mostPacket,
		Heartbeat: time.Minute, Rates: map[string]gate.Rate{"shop": {PerSecond: shopsASecond}},
		Transport: transport.Config{
			HandshakeTimeout: handshakeTime, FrameTimeout: handshakeTime, MaxHalfOpen: mostHalfOpen, MaxHalfOpenPerPrefix: mostOfOneNet,
			PacketRate: packetsASecond, Backlog: floodBacklog, MaxConns: 2000,
		},
	}); err != nil {
		return err
	}
	logins := login.NewMetrics()
	loginConfig := login.Config{
		Methods:  []login.Method{login.MethodPassword, login.MethodJWT, login.MethodToken},
		Register: true, Memory: 64, Passes: 1, TokenKeys: [][]byte{[]byte(sessionTokenKey)},
		JWT: login.JWT{Secrets: [][]byte{[]byte(jwtSecret)}, Once: true}, Metrics: logins,
	}
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: db}), rt.Launcher(), login.Spec(loginConfig), n.gate.Spec()} {
		if _, err := sys.Spawn(spec); err != nil {
			return err
		}
	}
	transports := []string{overTCP, overKCP, overKCPRaw, overWS}
	stop, err := n.serve("127.0.0.1", transports, kcp.Config{MaxRaw: mostRaw, MaxSessions: mostKCP}, func(err error) { log.Error("door", "error", err) })
	if err != nil {
		return err
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(n.metrics, logins)
	for name, stats := range n.kcp {
		registerKCP(registry, name, stats)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	n.addrs["admin"] = ln.Addr().String()
	looked := make(chan error, 1)
	go func() { looked <- (&admin.Server{Metrics: registry, Log: log}).Serve(ctx, ln) }()
	if err := wire().Encode(n.addrs); err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends, or has died
	stop()
	ending, done := context.WithTimeout(ctx, patience)
	defer done()
	if err := sys.Shutdown(ending); err != nil {
		return err
	}
	cancel()
	return <-looked
}

// registerKCP shows what a listener of KCP counts.
func registerKCP(registry *prometheus.Registry, transport string, stats *kcp.Stats) {
	for name, value := range map[string]func(s kcp.Snapshot) float64{
		"sessions":        func(s kcp.Snapshot) float64 { return float64(s.Sessions) },
		"hellos_total":    func(s kcp.Snapshot) float64 { return float64(s.Hellos) },
		"bad_cookies":     func(s kcp.Snapshot) float64 { return float64(s.BadCookie) },
		"unknown_total":   func(s kcp.Snapshot) float64 { return float64(s.Unknown) },
		"malformed_total": func(s kcp.Snapshot) float64 { return float64(s.Malformed) },
		"full_total":      func(s kcp.Snapshot) float64 { return float64(s.Refused["full"]) },
		"bytes_in":        func(s kcp.Snapshot) float64 { return float64(s.BytesIn) },
		"bytes_out":       func(s kcp.Snapshot) float64 { return float64(s.BytesOut) },
	} {
		registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "skua", Subsystem: "kcp", Name: name, Help: "See kcp.Snapshot.", ConstLabels: prometheus.Labels{"transport": transport},
		}, func() float64 { return value(stats.Snapshot()) }))
	}
}
