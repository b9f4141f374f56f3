// Package clients measures a node's way in: requests, idle sessions, broadcasts and logins through the gate, over each transport.
package clients

import (
	"context"
	"errors"
	"strings"

	"github.com/skua-go/skua/tools/bench/measure"
)

// body is a request of 64 bytes.
var body = []byte(`{"text":"` + strings.Repeat("x", 53) + `"}`)

// LuaEcho is requests a second of a closed loop over clients connections, each with an agent in Lua, which share VMs, over "tcp", "kcp" or "ws".
func LuaEcho(transport string, clients int) measure.Func {
	return echo("lua-"+transport, transport, clients)
}

// OwnVMEcho is LuaEcho over TCP with agents that have each a VM of their own.
func OwnVMEcho(clients int) measure.Func { return echo("own-tcp", "tcp", clients) }

// GoEcho is the same with a handler in Go, in the session's actor.
func GoEcho(transport string, clients int) measure.Func {
	return echo("go-"+transport, transport, clients)
}

func echo(server, transport string, clients int) measure.Func {
	return func(ctx context.Context) (float64, error) {
		p, err := measure.StartServer(ctx, server)
		if err != nil {
			return 0, err
		}
		perSecond, err := measure.Loop{Clients: clients}.Run(ctx, func(ctx context.Context) (measure.Client, error) {
			return dialEcho(ctx, transport, p.Addr) // the agent is there once it has answered
		})
		return perSecond, errors.Join(err, p.Stop())
	}
}
