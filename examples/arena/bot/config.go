// Package bot plays clients without a screen: it loads a node, and checks everything that the node answers and pushes. It plays the arena, or, for any other
// project, asks one route over and over (Load).
package bot

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// Target is where some of the clients connect to.
type Target struct {
	// Transport is tcp, tls, kcp, kcps, ws or wss.
	Transport string
	// Addr is host:port.
	Addr string
	// Clients is how many.
	Clients int
}

// Transports lists the ways to a node.
func Transports() []string { return []string{"tcp", "tls", "kcp", "kcps", "ws", "wss"} }

// Config tells Run what to do. Transport, Addr and Clients are needed.
type Config struct {
	Transport string // one of Transports
	Addr      string // host:port
	Clients   int
	// Also are further clients of the same run, over other transports or to other nodes. All are held against each other in the end.
	Also []Target

	// Load asks one route over and over instead of playing the arena. Nil: the arena.
	Load *Load
	// NoLogin is for gates that ask for no login.
	NoLogin bool

	// Duration is how long all play, from when the last of them is in. Default 10 s.
	Duration time.Duration
	// Steps ends the playing of a client sooner, after so many answers. 0: no end.
	Steps int
	// Ramp is how fast they come. Default: as fast as Logins lets them.
	Ramp Ramp
	// Think is the pause between two bursts of steps, or two requests. Default: Pause.
	Think Think
	// Cut is after how long, on average, a client's connection is cut; it has to resume. 0: never.
	Cut time.Duration
	// Roam lets a client that was cut come back over the addresses of all targets, which then have to be doors of one node.
	Roam bool
	// Resume lets sessions outlive their connections, as Cut does. Without, a lost connection is reported at once.
	Resume bool

	// Prefix begins every player's name. Default "bot".
	Prefix string
	// First is the number of the first player. Default 1.
	First int
	// Password is everybody's. Default "skua-bot-password".
	Password string
	// Seed makes the steps the same again, as far as the network allows. 0: a fixed one.
	Seed uint64
	// Pipeline is how many steps or requests a client has in flight at most. Default 4.
	Pipeline int
	// Pause is the longest time between two bursts of steps; each is random between a third of it and all of it. Default 250 ms. Negative: none.
	Pause time.Duration
	// Timeout is how long a connection, a login or a request may take. Default 10 s.
	Timeout time.Duration
	// Settle is how long it may stay quiet before what the pushes have not said counts as missing, when all have stopped. Default 10 s.
	Settle time.Duration
	// Logins is how many log in at a time: the node hashes each password at some cost. Default 4.
	Logins int
	// History is how many steps a report keeps of each player. Default and most: MaxSteps. 1 is enough for all but Verify.
	History int
	// Sources are local addresses of the clients, in turn, for all transports but KCP: one address has some 28,000 ports for each door. Default: the system's choice.
	Sources []netip.Addr
	// Options are those of the connections.
	Options client.Options
	// Entered is called when all are in, with how many they are, before they begin to play. Optional; it must not block.
	Entered func(clients int)
	// Progress is called every second with what has happened so far. Optional; it must not block.
	Progress func(Snapshot)
}

// ErrConfig is wrapped by the errors of a configuration that makes no sense.
var ErrConfig = errors.New("bot: config")

func (c Config) withDefaults() (Config, error) {
	for _, d := range []struct {
		v   *time.Duration
		def time.Duration
	}{{&c.Duration, 10 * time.Second}, {&c.Pause, 250 * time.Millisecond}, {&c.Timeout, 10 * time.Second}, {&c.Settle, 10 * time.Second}} {
		if *d.v == 0 {
			*d.v = d.def
		}
	}
	for _, d := range []struct {
		v   *int
		def int
	}{{&c.Pipeline, 4}, {&c.Logins, 4}, {&c.First, 1}, {&c.History, MaxSteps}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	c.History = min(c.History, MaxSteps)
	if c.Prefix == "" {
		c.Prefix = "bot"
	}
	if c.Password == "" {
		c.Password = "skua-bot-password"
	}
	if c.Entered == nil {
		c.Entered = func(int) {}
	}
	if c.Think == nil {
		c.Think = Uniform(max(c.Pause, 0)/3, max(c.Pause, 0))
	}
	if c.Load == nil && c.NoLogin {
		return c, fmt.Errorf("%w: the arena's players have to log in", ErrConfig)
	}
	if c.Load != nil && c.Load.Route == "" {
		return c, fmt.Errorf("%w: a load without a route", ErrConfig)
	}
	for _, t := range c.targets() {
		if _, err := t.url(); err != nil {
			return c, err
		}
		if t.Clients < 1 {
			return c, fmt.Errorf("%w: %d clients, expected at least 1", ErrConfig, t.Clients)
		}
	}
	c.Options.HandshakeTimeout, c.Options.RequestTimeout = c.Timeout, c.Timeout
	if c.Cut <= 0 && !c.Resume {
		c.Options.Resume = client.ResumeOff
	}
	return c, nil
}

func (c Config) targets() []Target {
	return append([]Target{{c.Transport, c.Addr, c.Clients}}, c.Also...)
}

// order is the target of each client, in the order in which they come: all targets fill up evenly.
func (c Config) order() []Target {
	type place struct {
		target Target
		at     float64
	}
	var places []place
	for _, t := range c.targets() {
		for i := range t.Clients {
			places = append(places, place{t, (float64(i) + 0.5) / float64(t.Clients)})
		}
	}
	slices.SortStableFunc(places, func(a, b place) int { return cmp.Compare(a.at, b.at) })
	targets := make([]Target, len(places))
	for i, p := range places {
		targets[i] = p.target
	}
	return targets
}

// urls are the addresses of all targets.
func (c Config) urls() []string {
	var all []string
	for _, t := range c.targets() {
		if u, err := t.url(); err == nil && !slices.Contains(all, u) {
			all = append(all, u)
		}
	}
	return all
}

func (t Target) url() (string, error) {
	if t.Addr == "" {
		return "", fmt.Errorf("%w: no address, expected host:port", ErrConfig)
	}
	switch t.Transport {
	case "tcp", "tls", "kcp", "kcps":
		return t.Transport + "://" + t.Addr, nil
	case "ws", "wss":
		return t.Transport + "://" + t.Addr + "/ws", nil
	}
	return "", fmt.Errorf("%w: transport %q, expected tcp, tls, kcp, kcps, ws or wss", ErrConfig, t.Transport)
}
