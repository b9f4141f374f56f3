package acceptance_test

import (
	"context"
	"crypto/tls"
	"errors"
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
	metrics *gate.Metrics
	log     *logtest.Buffer
}

// start runs a gate behind these transports until the test ends. script, when there is one, is the agent's. host is where the doors are.
func start(t *testing.T, host string, cfg gate.Config, script string, transports ...string) *node {
	t.Helper()
	n := &node{dialer: dialer{addrs: map[string]string{}}, metrics: gate.NewMetrics(), log: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelInfo}))
	sys := actor.New(actor.Config{Log: logger, CallTimeout: patience})
	cfg.Metrics, cfg.Log = n.metrics, logger
	specs := []actor.Spec{}
	var g *gate.Gate
	if script != "" {
		modules := []lua.Module{{Name: "gate", Open: func(h *lua.Host, s vm.State) { g.Module().Open(h, s) }}}
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
	stop := n.serve(t, host, transports)
	t.Cleanup(func() {
		stop()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		must(t, sys.Shutdown(ctx))
		if t.Failed() {
			text := n.log.String()
			t.Log(text[max(0, len(text)-8<<10):])
		}
	})
	return n
}

// serve opens the doors; what it returns closes them.
func (n *node) serve(t *testing.T, host string, transports []string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var doors sync.WaitGroup
	open := func(transport string, ln net.Listener) {
		doors.Go(func() {
			if err := n.gate.Serve(ctx, transport, ln); err != nil {
				t.Errorf("serve %s: %v", transport, err)
			}
		})
	}
	any := net.JoinHostPort(host, "0")
	var pages *http.Server
	for _, transport := range transports {
		switch transport {
		case overTCP, overTLS:
			ln, err := tcp.Listen(ctx, any)
			must(t, err)
			n.addrs[transport] = ln.Addr().String()
			if transport == overTLS {
				ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS13})
			}
			open(transport, ln)
		case overKCP, overKCPRaw, overKCPTLS:
			ln, err := kcp.Listen(any, kcp.Config{Raw: transport == overKCPRaw})
			must(t, err)
			n.addrs[transport] = ln.Addr().String()
			if transport == overKCPTLS {
				ln = tls.NewListener(ln, &tls.Config{Certificates: []tls.Certificate{certificate(t)}, MinVersion: tls.VersionTLS13})
			}
			open(transport, ln)
		case overWS:
			ln, err := tcp.Listen(ctx, any)
			must(t, err)
			n.addrs[transport] = ln.Addr().String()
			wl := ws.NewListener(ws.Config{Addr: ln.Addr()})
			pages = &http.Server{Handler: wl, ReadHeaderTimeout: 10 * time.Second}
			doors.Go(func() {
				if err := pages.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
					t.Errorf("serve pages: %v", err)
				}
			})
			open(transport, wl)
		default:
			t.Fatalf("no transport %q", transport)
		}
	}
	return func() {
		cancel()
		if pages != nil {
			_ = pages.Close()
		}
		doors.Wait()
	}
}
