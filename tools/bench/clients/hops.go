package clients

import (
	"context"
	"log/slog"

	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"

	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/nodes"
)

// worldRole is that of the node with the agents.
const worldRole = "world"

// TwoHops is the time of an echo by a client of one node and its agent on another, with so many clients.
func TwoHops(clients int) measure.Func { return echo("two-hops", "tcp", clients) }

// serveTwoHops has a gate on one node, and the agents of its clients on another.
func serveTwoHops(ctx context.Context, ready func(string)) error {
	types := wire.NewTypes()
	lua.WireTypes(types)
	gate.WireTypes(types)
	return nodes.Some(ctx, types, []string{"", worldRole}, func(peers []nodes.Peer) error {
		at, err := hop(peers[0])
		if err != nil {
			return err
		}
		if _, err := hop(peers[1]); err != nil {
			return err
		}
		return at.serve(ctx, ready, []string{"tcp"})
	})
}

// hop gives a node its gate and its launcher.
func hop(p nodes.Peer) (*node, error) {
	n := &node{sys: p.System, log: slog.New(slog.DiscardHandler)}
	rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: n.log, Modules: []lua.Module{
		{Name: "gate", Open: func(h *lua.Host, s vm.State) { n.gate.Module().Open(h, s) }},
	}})
	if err != nil {
		return nil, err
	}
	if _, err := n.sys.Spawn(rt.Launcher()); err != nil {
		return nil, err
	}
	return n, n.open(gate.Config{
		Runtime: rt, Agent: "agent", SharedVMs: true, Login: gate.LoginNone, Others: &gate.Others{Members: p.Members, Mesh: p.Mesh, AgentRole: worldRole},
	})
}
