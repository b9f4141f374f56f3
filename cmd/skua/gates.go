package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/services/gate"
)

// buildGates makes the gate of [gate] and those of [gates.NAME].
func (n *node) buildGates() error {
	cfg := &n.project.cfg
	n.gates = map[string]*gate.Gate{}
	if err := n.buildGate(mainGate, "gate", &cfg.Gate, cfg.Login.gate()); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Gates)) {
		g := cfg.Gates[name]
		login := cfg.Login.gate()
		if g.Login != "" {
			login = gate.Login(g.Login)
		}
		if err := n.buildGate(name, "gates."+name, &g.GateConfig, login); err != nil {
			return err
		}
	}
	return nil
}

// buildGate makes one of them; key is where it stands in the configuration.
func (n *node) buildGate(name, key string, g *GateConfig, login gate.Login) error {
	if g.Agent != "" && !n.rt.Has(g.Agent) {
		return fmt.Errorf("%s.agent = %q: there is no such script in %s", key, g.Agent, strings.Join(n.project.cfg.Lua.Path, ", "))
	}
	bodies, err := n.bodies(key, g)
	if err != nil {
		return err
	}
	made := gateConfig(g)
	if name != mainGate {
		made.Name = gate.ServiceName + "." + name
	}
	made.Login, made.Attempts = login, n.project.cfg.Login.MaxAttempts
	made.Runtime, made.First, made.Sessions = n.rt, func() actor.Ref { return n.first }, n.sessions
	if n.members != nil {
		made.Others = &gate.Others{Members: n.members, Mesh: n.mesh, Keys: n.login.TokenKeys, AgentRole: g.AgentRole}
	}
	made.Media = n.media.ofGate(g)
	made.Bodies, made.Metrics, made.Log = bodies, gate.NewMetrics(), n.log.With("part", "gate")
	if name != mainGate {
		made.Log = made.Log.With("gate", name)
	}
	prometheus.WrapRegistererWith(prometheus.Labels{"gate": name}, n.metrics).MustRegister(made.Metrics)
	if n.gates[name], err = gate.New(n.sys, made); err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// gateConfig is what the keys of a gate say.
func gateConfig(g *GateConfig) gate.Config {
	window := g.ResumeWindow.Duration
	if window == 0 {
		window = -1 // a gate's 0 is its default
	}
	rates := make(map[string]gate.Rate, len(g.Rates))
	for route, r := range g.Rates {
		rates[route] = gate.Rate{PerSecond: r}
	}
	return gate.Config{
		Agent: g.Agent, SharedVMs: g.AgentVM == vmShared, Linger: g.Linger.Duration, LoginTimeout: g.LoginTimeout.Duration,
		Codec: g.Codec, Routes: g.Routes, Heartbeat: g.Heartbeat.Duration, MaxPacket: g.MaxPacket, GzipFrom: g.GzipFrom, MaxQueue: g.MaxQueue, Rates: rates,
		ResumeWindow: window, RingPackages: g.RingPackages, RingBytes: g.RingBytes, AllRingBytes: int64(g.AllRingBytes), MaxWaiting: g.MaxWaiting,
		Transport: transport.Config{
			HandshakeTimeout: g.HandshakeTimeout.Duration, Backlog: g.Backlog,
			MaxConns: g.MaxConnections, MaxConnsPerAddr: g.MaxConnectionsPerAddress,
			MaxHalfOpen: g.MaxHalfOpen, MaxHalfOpenPerPrefix: g.MaxHalfOpenPerNetwork,
			PacketRate: g.PacketRate, PacketBurst: g.PacketBurst, ByteRate: g.ByteRate, ByteBurst: g.ByteBurst,
		},
	}
}

// gateLabels are what other nodes are told of this one's gates, beside the configured labels.
func (c *Config) gateLabels() map[string]string {
	labels := maps.Clone(c.Cluster.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	add := func(label string, addresses []string) {
		if len(addresses) > 0 {
			labels[label] = strings.Join(addresses, " ")
		}
	}
	add(gate.AddressLabel, c.Gate.Addresses)
	for name, g := range c.Gates {
		add(gate.AddressLabel+"."+name, g.Addresses)
	}
	return labels
}

// gateSpecs are the gates' actors, the main one last: it has the players whom others may serve.
func (n *node) gateSpecs() []actor.Spec {
	specs := make([]actor.Spec, 0, len(n.gates))
	for _, name := range slices.Sorted(maps.Keys(n.gates)) {
		if name != mainGate {
			specs = append(specs, n.gates[name].Spec())
		}
	}
	return append(specs, n.gates[mainGate].Spec())
}
