package clients

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing/fstest"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/tcp"
	skuaws "github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"

	"github.com/skua-go/skua/tools/bench/measure"
)

var files = fstest.MapFS{"agent.lua": {Data: []byte(`
local M = { client = {} }
function M.client.echo(self, request) return request end
return M`)}}

// Servers are nodes' gates: with a Lua agent a connection, in shared VMs or one of its own, or a handler in Go, over each transport; one that logs its clients in, which gets args, some of a
// cluster that do, one for broadcasts, and one over TCP and KCP at once with its bots, which get args.
func Servers(args []string) map[string]measure.Server {
	all := map[string]measure.Server{
		"lua-bots":  func(ctx context.Context, ready func(string)) error { return serveLua(ctx, ready, false, "tcp", "kcp") },
		"own-tcp":   func(ctx context.Context, ready func(string)) error { return serveLua(ctx, ready, false, "tcp") },
		"broadcast": serveBroadcast,
		"two-hops":  serveTwoHops,
		"cluster":   func(ctx context.Context, ready func(string)) error { return serveCluster(ctx, args, ready) },
		"bots":      func(ctx context.Context, ready func(string)) error { return bots(ctx, args, ready) },
	}
	for _, transport := range []string{"tcp", "kcp", "ws"} {
		all["lua-"+transport] = func(ctx context.Context, ready func(string)) error { return serveLua(ctx, ready, true, transport) }
		all["go-"+transport] = func(ctx context.Context, ready func(string)) error { return serveGo(ctx, ready, transport) }
		all["login-"+transport] = func(ctx context.Context, ready func(string)) error { return serveLogin(ctx, args, ready, transport) }
	}
	return all
}

// node is a system with a gate.
type node struct {
	sys  *actor.System
	gate *gate.Gate
	log  *slog.Logger
}

func newNode() *node {
	log := slog.New(slog.DiscardHandler)
	return &node{sys: actor.New(actor.Config{Log: log}), log: log}
}

// open makes the gate.
func (n *node) open(cfg gate.Config) (err error) {
	cfg.Log = n.log
	if n.gate, err = gate.New(n.sys, cfg); err != nil {
		return err
	}
	_, err = n.sys.Spawn(n.gate.Spec())
	return err
}

// serve lets clients in until ctx ends. It is ready with the addresses of the transports, in their order, and what comes beside.
func (n *node) serve(ctx context.Context, ready func(string), transports []string, beside ...string) error {
	doors, ctx := errgroup.WithContext(ctx)
	var addrs []string
	for _, transport := range transports {
		addr, err := n.listen(ctx, doors, transport)
		if err != nil {
			return errors.Join(err, n.shutdown())
		}
		addrs = append(addrs, addr)
	}
	ready(strings.Join(append(addrs, beside...), " "))
	return errors.Join(doors.Wait(), n.shutdown())
}

func (n *node) shutdown() error {
	end, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return n.sys.Shutdown(end)
}

func (n *node) listen(ctx context.Context, doors *errgroup.Group, transport string) (addr string, err error) {
	var ln net.Listener
	if transport == "kcp" {
		ln, err = kcp.Listen("127.0.0.1:0", kcp.Config{})
	} else {
		ln, err = tcp.Listen(ctx, "127.0.0.1:0")
	}
	if err != nil {
		return "", err
	}
	addr = ln.Addr().String()
	if transport == "ws" {
		sockets := skuaws.NewListener(skuaws.Config{Addr: ln.Addr()})
		server := &http.Server{Handler: sockets, ReadHeaderTimeout: 5 * time.Second}
		web := ln
		doors.Go(func() error {
			context.AfterFunc(ctx, func() { _ = server.Close() })
			if err := server.Serve(web); !errors.Is(err, http.ErrServerClosed) {
				return err
			}
			return nil
		})
		ln = sockets
	}
	doors.Go(func() error { return n.gate.Serve(ctx, transport, ln) })
	return addr, nil
}

func serveLua(ctx context.Context, ready func(string), sharedVMs bool, transports ...string) error {
	n := newNode()
	rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: n.log, Modules: []lua.Module{
		{Name: "gate", Open: func(h *lua.Host, s vm.State) { n.gate.Module().Open(h, s) }},
	}})
	if err != nil {
		return err
	}
	if _, err := n.sys.Spawn(rt.Launcher()); err != nil {
		return err
	}
	if err := n.open(gate.Config{Runtime: rt, Agent: "agent", SharedVMs: sharedVMs, Login: gate.LoginNone}); err != nil {
		return err
	}
	return n.serve(ctx, ready, transports)
}

func serveGo(ctx context.Context, ready func(string), transport string) error {
	n := newNode()
	if err := n.open(gate.Config{Handle: echoRequest, Login: gate.LoginNone}); err != nil {
		return err
	}
	return n.serve(ctx, ready, []string{transport})
}

// echoRequest answers with what came, as the bare echo does.
func echoRequest(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }
