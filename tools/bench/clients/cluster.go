package clients

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/store/sqlite"

	"github.com/skua-go/skua/tools/bench/measure"
	"github.com/skua-go/skua/tools/bench/nodes"
)

// The arguments of the server "cluster", beside the number of its nodes and that of players.
const (
	withAgents   = "agents"
	withHandlers = "handlers"
)

// ClusterLogins is logins a second as Logins measures them over TCP, at the gates of so many nodes in turns, which are of one cluster and in one process. What takes requests is an
// agent in Lua, which share VMs, or a handler in Go.
func ClusterLogins(of int, agents bool, count int) measure.Func {
	kind := withHandlers
	if agents {
		kind = withAgents
	}
	return func(ctx context.Context) (float64, error) {
		p, err := measure.StartServer(ctx, "cluster", strconv.Itoa(count/6+count), strconv.Itoa(of), kind)
		if err != nil {
			return 0, err
		}
		perSecond, err := loginAll(ctx, p.Addr, "tcp", count)
		return perSecond, errors.Join(err, p.Stop())
	}
}

// serveCluster is ready with the addresses of all gates, and the path of a file with a token of each player.
func serveCluster(ctx context.Context, args []string, ready func(string)) (err error) {
	if len(args) != 3 || args[2] != withAgents && args[2] != withHandlers {
		return fmt.Errorf("clients: found arguments %q, expected the numbers of players and of nodes, and %s or %s", args, withAgents, withHandlers)
	}
	players, err := strconv.Atoi(args[0])
	if err != nil {
		return fmt.Errorf("clients: the number of players: %w", err)
	}
	of, err := strconv.Atoi(args[1])
	if err != nil || of < 1 {
		return fmt.Errorf("clients: found %q nodes, expected a number from 1", args[1])
	}
	dir, err := os.MkdirTemp("", "skua-bench-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	types := wire.NewTypes()
	lua.WireTypes(types)
	gate.WireTypes(types)
	return nodes.Some(ctx, types, make([]string, of), func(peers []nodes.Peer) error {
		return serveLogins(ctx, peers, dir, players, args[2] == withAgents, ready)
	})
}

// serveLogins opens the gates of all nodes until ctx ends.
func serveLogins(ctx context.Context, peers []nodes.Peer, dir string, players int, agents bool, ready func(string)) (err error) {
	db, err := sqlite.Open(ctx, sqlite.Options{Dir: dir}) // of all: who logs in by token is not looked for there
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	serving, stop := context.WithCancel(ctx)
	doors, serving := errgroup.WithContext(serving)
	var opened []*node
	defer func() {
		stop()
		err = errors.Join(err, doors.Wait())
		for _, n := range opened {
			err = errors.Join(err, n.shutdown()) // while there is a database
		}
	}()
	var all string
	path := filepath.Join(dir, "tokens")
	for i, p := range peers {
		n := &node{sys: p.System, log: slog.New(slog.DiscardHandler)}
		opened = append(opened, n)
		err := n.logins(db)
		if err == nil && i == 0 {
			err = n.issue(ctx, path, players)
		}
		if err == nil {
			err = n.gates(p, agents)
		}
		if err != nil {
			return err
		}
		addr, err := n.listen(serving, doors, "tcp")
		if err != nil {
			return err
		}
		all += addr + " "
	}
	ready(all + path)
	<-serving.Done()
	return nil
}

// gates opens the gate of a node of a cluster.
func (n *node) gates(p nodes.Peer, agents bool) error {
	cfg := gate.Config{Others: &gate.Others{Members: p.Members, Mesh: p.Mesh}}
	if !agents {
		cfg.Handle = echoRequest
		return n.open(cfg)
	}
	rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: n.log, Modules: []lua.Module{
		{Name: "gate", Open: func(h *lua.Host, s vm.State) { n.gate.Module().Open(h, s) }},
	}})
	if err != nil {
		return err
	}
	if _, err := n.sys.Spawn(rt.Launcher()); err != nil {
		return err
	}
	cfg.Runtime, cfg.Agent, cfg.SharedVMs = rt, "agent", true
	return n.open(cfg)
}
