package gate_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/services/store/sqlite"
)

// kcp-go has timer goroutines of its own that last as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

// patience is for what must happen; a test that takes as long has failed.
const patience = time.Minute

// agent is a player's script that most tests do with.
const agent = `
local skynet = require "skynet"
local gate = require "gate"
local M = { client = {} }
local client = M.client
function M.start(self, player) self.uid = player.uid; self.name = player.name; self.seen = {} end
function M.connect(self, session) self.session = session end
function M.disconnect(self, session, why) if self.session == session then self.session = nil end; self.why = why end
function client.echo(self, request) return request end
function client.who(self) return { uid = self.uid, name = self.name } end
function client.slow(self, request) skynet.sleep(request.cs or 1); return request end
function client.note(self, request) table.insert(self.seen, request.n) return request end
function client.seen(self) return self.seen end
function client.push(self, request, session)
  for i = 1, request.n do gate.push(session, "news", { i = i }) end
  return { sent = request.n }
end
return M`

// world is how a test wants its node. The zero value is a node with the agent above, passwords, and TCP.
type world struct {
	scripts     map[string]string
	gate        gate.Config
	login       login.Config
	callTimeout time.Duration
	backend     func(store.Backend) store.Backend
	modules     []lua.Module
	first       string // started as the first service
	kinds       []string
	closed      bool        // no accounts for new names
	loginActor  actor.Actor // in place of the login service
	tracer      actor.Tracer
}

// node is a whole one, but for the command.
type node struct {
	t       *testing.T
	sys     *actor.System
	metrics *gate.Metrics
	backend store.Backend
	log     *logtest.Buffer
	urls    map[string]string
	net     *network // of kind "mem"
	gate    *gate.Gate
	stop    func() // the doors: waits until all connections are gone
}

func start(t *testing.T, w world) *node {
	t.Helper()
	n := &node{t: t, log: &logtest.Buffer{}, metrics: gate.NewMetrics(), urls: map[string]string{}}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if w.scripts == nil {
		w.scripts = map[string]string{"agent.lua": agent}
	}
	if w.callTimeout == 0 {
		w.callTimeout = patience
	}
	tree := fstest.MapFS{}
	for name, text := range w.scripts {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	var g *gate.Gate
	w.modules = append(w.modules, lua.Module{Name: "gate", Open: func(h *lua.Host, s vm.State) { g.Module().Open(h, s) }})
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Modules: append(w.modules, documents.New(documents.Config{}).Module()), Log: logger, Budget: patience})
	must(t, err)
	n.sys = actor.New(actor.Config{Log: logger, CallTimeout: w.callTimeout, Tracer: w.tracer})
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	must(t, err)
	n.backend = db
	if w.backend != nil {
		n.backend = w.backend(db)
	}
	w.login.Register = !w.closed
	w.login.Memory, w.login.Passes = 64, 1 // cheap: what hashes cost is not what is tested here
	var first actor.Ref
	w.gate.Runtime, w.gate.Metrics, w.gate.Log = rt, n.metrics, logger
	w.gate.First = func() actor.Ref { return first }
	if w.gate.Agent == "" && w.first == "" {
		w.gate.Agent = "agent"
	}
	g, err = gate.New(n.sys, w.gate)
	must(t, err)
	logins := login.Spec(w.login)
	if w.loginActor != nil {
		logins = actor.Spec{Name: login.ServiceName, New: func() actor.Actor { return w.loginActor }}
	}
	for _, spec := range []actor.Spec{store.Spec(store.Config{Backend: n.backend, Autosave: 50 * time.Millisecond}), rt.Launcher(), logins, g.Spec()} {
		_, err := n.sys.Spawn(spec)
		must(t, err)
	}
	if w.first != "" {
		launcher, _ := n.sys.Lookup(lua.LauncherName)
		v, err := n.sys.Ask(t.Context(), launcher, lua.Launch{Script: w.first})
		must(t, err)
		first = v.(actor.Ref)
	}
	n.gate = g
	n.serve(g, w.kinds)
	t.Cleanup(func() {
		n.stop()
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		must(t, n.sys.Shutdown(ctx))
		must(t, db.Close())
		if t.Failed() {
			t.Log(tail(n.log.String()))
		}
	})
	return n
}

func tail(s string) string { return s[max(0, len(s)-8<<10):] }

// serve opens the doors.
func (n *node) serve(g *gate.Gate, kinds []string) {
	if kinds == nil {
		kinds = []string{"tcp"}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var doors sync.WaitGroup
	var pages *httptest.Server
	for _, kind := range kinds {
		var ln net.Listener
		var err error
		switch kind {
		case "tcp":
			ln, err = tcp.Listen(ctx, "127.0.0.1:0")
			must(n.t, err)
			n.urls[kind] = "tcp://" + ln.Addr().String()
		case "kcp":
			ln, err = kcp.Listen("127.0.0.1:0", kcp.Config{})
			must(n.t, err)
			n.urls[kind] = "kcp://" + ln.Addr().String()
		case "mem":
			n.net = newNetwork()
			ln = n.net
		case "ws":
			wl := ws.NewListener(ws.Config{})
			pages = httptest.NewServer(http.HandlerFunc(wl.ServeHTTP))
			n.urls[kind] = "ws" + strings.TrimPrefix(pages.URL, "http") + "/ws"
			ln = wl
		}
		doors.Go(func() {
			if err := g.Serve(ctx, kind, ln); err != nil {
				n.t.Errorf("serve %s: %v", kind, err)
			}
		})
	}
	n.stop = sync.OnceFunc(func() {
		cancel()
		doors.Wait()
		if pages != nil {
			pages.Close()
		}
	})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// dial connects; the connection ends with the test.
func (n *node) dial(opts client.Options) *client.Client { return n.dialOn("tcp", opts) }

func (n *node) dialOn(kind string, opts client.Options) *client.Client {
	n.t.Helper()
	c, err := client.Dial(n.t.Context(), n.urls[kind], opts)
	must(n.t, err)
	n.t.Cleanup(func() { _ = c.Close() })
	return c
}

// enter connects and logs in.
func (n *node) enter(name string, opts client.Options) *client.Client {
	n.t.Helper()
	c := n.dial(opts)
	must(n.t, logIn(c, name))
	return c
}

func logIn(c *client.Client, name string) error {
	return request(c, "login", map[string]string{"name": name, "password": "pw of " + strings.ToLower(name)}, nil)
}

func request(c *client.Client, route string, in, out any) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return c.Request(ctx, route, in, out)
}

// codeOf is the code of an answer that is an error, or what else went wrong.
func codeOf(err error) string {
	var e *client.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

// kickOf waits for the end of a connection and gives the kick's code, or what else ended it.
func kickOf(t *testing.T, c *client.Client) string {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("the connection did not end")
	}
	var k *client.KickError
	if errors.As(c.Err(), &k) {
		return k.Code
	}
	return c.Err().Error()
}

// until waits for a condition that other goroutines bring about.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	for tick := time.NewTicker(2 * time.Millisecond); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came true that %s", what)
		}
	}
}

// actors is how many there are when nobody is in.
func (n *node) actors() int64 { return n.sys.Stats().Actors }

// quiet waits until a node has as many actors as before.
func (n *node) quiet(before int64) {
	n.t.Helper()
	until(n.t, "all sessions and agents have ended", func() bool { return n.actors() == before })
}

// limits are short enough to wait for, and long enough for a machine that is busy.
var limits = transport.Config{HandshakeTimeout: 5 * time.Second, FrameTimeout: 2 * time.Second, Linger: 200 * time.Millisecond}
