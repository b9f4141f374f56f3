// Package bot plays the arena without a screen: it loads a node, and checks everything that the node answers and pushes.
package bot

import (
	"errors"
	"fmt"
	"time"

	client "github.com/skua-go/skua/clients/go"
)

// Target is where some of the clients connect to.
type Target struct {
	// Transport is tcp, kcp or ws.
	Transport string
	// Addr is host:port.
	Addr string
	// Clients is how many.
	Clients int
}

// Config tells Run what to do. Transport, Addr and Clients are needed.
type Config struct {
	Transport string // tcp, kcp or ws
	Addr      string // host:port
	Clients   int
	// Also are further clients of the same run, over other transports or to other nodes. All are held against each other in the end.
	Also []Target

	// Duration is how long all play, from when the last of them is in. Default 10 s.
	Duration time.Duration
	// Prefix begins every player's name. Default "bot".
	Prefix string
	// Password is everybody's. Default "skua-bot-password".
	Password string
	// Seed makes the steps the same again, as far as the network allows. 0: a fixed one.
	Seed uint64
	// Pipeline is how many steps a bot has in flight at most. Default 4.
	Pipeline int
	// Pause is the longest time between two bursts of steps; each is random between a third of it and all of it. Default 250 ms. Negative: none.
	Pause time.Duration
	// Timeout is how long a request may take. Default 10 s.
	Timeout time.Duration
	// Settle is how long the pushes may take to arrive when all have stopped. Default 10 s.
	Settle time.Duration
	// Logins is how many log in at a time: the node hashes each password at some cost. Default 4.
	Logins int
	// Options are those of the connections.
	Options client.Options
	// Entered is called when all are in, with how many they are, before they begin to play. Optional; it must not block.
	Entered func(clients int)
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
	}{{&c.Pipeline, 4}, {&c.Logins, 4}} {
		if *d.v <= 0 {
			*d.v = d.def
		}
	}
	if c.Prefix == "" {
		c.Prefix = "bot"
	}
	if c.Password == "" {
		c.Password = "skua-bot-password"
	}
	if c.Entered == nil {
		c.Entered = func(int) {}
	}
	for _, t := range c.targets() {
		if _, err := t.url(); err != nil {
			return c, err
		}
		if t.Clients < 1 {
			return c, fmt.Errorf("%w: %d clients, expected at least 1", ErrConfig, t.Clients)
		}
	}
	return c, nil
}

func (c Config) targets() []Target {
	return append([]Target{{c.Transport, c.Addr, c.Clients}}, c.Also...)
}

func (t Target) url() (string, error) {
	if t.Addr == "" {
		return "", fmt.Errorf("%w: no address, expected host:port", ErrConfig)
	}
	switch t.Transport {
	case "tcp", "kcp":
		return t.Transport + "://" + t.Addr, nil
	case "ws":
		return "ws://" + t.Addr + "/ws", nil
	}
	return "", fmt.Errorf("%w: transport %q, expected tcp, kcp or ws", ErrConfig, t.Transport)
}
