package acceptance_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
)

// node is a gate with its doors.
type node struct {
	dialer
	gate    *gate.Gate
	actors  func() int64 // that there are
	metrics *gate.Metrics
	log     *logtest.Buffer
	kcp     map[string]*kcp.Stats // by transport
}

// start runs a gate behind these transports until the test ends. script, when there is one, is the agent's. host is where the doors are.
func start(t *testing.T, host string, cfg gate.Config, script string, transports ...string) *node {
	t.Helper()
	log := &logtest.Buffer{}
	sys := actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(log, nil)), CallTimeout: patience})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, sys.Shutdown(ctx))
	})
	return startOn(t, sys, log, host, cfg, script, nil, transports...)
}

// startOn is start with actors that are there, and end behind the gate. modules are for the script.
func startOn(t *testing.T, sys *actor.System, log *logtest.Buffer, host string, cfg gate.Config, script string, modules []lua.Module, transports ...string) *node {
	t.Helper()
	n := &node{dialer: dialer{addrs: map[string]string{}}, metrics: gate.NewMetrics(), log: log, kcp: map[string]*kcp.Stats{}}
	n.actors = func() int64 { return sys.Stats().Actors }
	logger := slog.New(slog.NewTextHandler(log, nil))
	cfg.Metrics, cfg.Log = n.metrics, logger
	specs := []actor.Spec{}
	var g *gate.Gate
	if script != "" {
		modules = append(modules, lua.Module{Name: "gate", Open: func(h *lua.Host, s vm.State) { g.Module().Open(h, s) }})
		tree := fstest.MapFS{"agent.lua": &fstest.MapFile{Data: []byte(script)}}
		rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Modules: modules, Log: logger, Budget: patience})
		must(t, err)
		specs = append(specs, rt.Launcher())
		cfg.Runtime, cfg.Agent = rt, "agent"
	}
	g, err := gate.New(sys, cfg)
	must(t, err)
	n.gate = g
	for _, spec := range append(specs, g.Spec()) {
		_, err := sys.Spawn(spec)
		must(t, err)
	}
	stop, err := n.serve(host, transports, kcp.Config{}, func(err error) { t.Error(err) })
	must(t, err)
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			text := n.log.String()
			t.Log(text[max(0, len(text)-8<<10):])
		}
	})
	return n
}

// serve opens the doors; what it returns closes them. knobs are for KCP. failed hears of doors that have broken.
func (n *node) serve(host string, transports []string, knobs kcp.Config, failed func(error)) (stop func(), err error) {
	ctx, cancel := context.WithCancel(context.Background())
	var doors sync.WaitGroup
	var pages *http.Server
	stop = func() {
		cancel()
		if pages != nil {
			_ = pages.Close()
		}
		doors.Wait()
	}
	for _, transport := range transports {
		ln, err := n.listen(ctx, net.JoinHostPort(host, "0"), transport, knobs)
		if err != nil {
			stop()
			return nil, err
		}
		n.addrs[transport] = ln.Addr().String()
		if transport == overWS {
			wl := ws.NewListener(ws.Config{Addr: ln.Addr()})
			pages = &http.Server{Handler: wl, ReadHeaderTimeout: 2 * time.Second}
			page := ln
			doors.Go(func() {
				if err := pages.Serve(page); !errors.Is(err, http.ErrServerClosed) {
					failed(fmt.Errorf("serve pages: %w", err))
				}
			})
			ln = wl
		}
		doors.Go(func() {
			if err := n.gate.Serve(ctx, transport, ln); err != nil {
				failed(fmt.Errorf("serve %s: %w", transport, err))
			}
		})
	}
	return stop, nil
}

// listen opens one port.
func (n *node) listen(ctx context.Context, addr, transport string, knobs kcp.Config) (ln net.Listener, err error) {
	switch transport {
	case overTCP, overTLS, overWS:
		ln, err = tcp.Listen(ctx, addr)
	case overKCP, overKCPRaw, overKCPTLS:
		knobs.Raw = transport == overKCPRaw
		knobs.Stats = new(kcp.Stats)
		n.kcp[transport] = knobs.Stats
		ln, err = kcp.Listen(addr, knobs)
	default:
		err = fmt.Errorf("no transport %q", transport)
	}
	if err != nil || (transport != overTLS && transport != overKCPTLS) {
		return ln, err
	}
	cert, err := certificate()
	return tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS13}), err
}
