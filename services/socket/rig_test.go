package socket_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/socket"
)

// patience is how long a test waits for what has to happen.
const patience = time.Minute

// rig is a node whose scripts are those of testdata.
type rig struct {
	*testing.T
	sys      *actor.System
	log      *logtest.Buffer
	metrics  *prometheus.Registry
	launcher actor.Ref
}

// both runs a test with each engine, or with the one that SKUA_TEST_ENGINE names.
func both(t *testing.T, cfg socket.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []vm.Engine{lua54.Engine{}, second} {
		if only := os.Getenv("SKUA_TEST_ENGINE"); only != "" && only != engine.Name() {
			continue
		}
		t.Run(engine.Name(), func(t *testing.T) { run(t, newRig(t, cfg, engine)) })
	}
}

func newRig(t *testing.T, cfg socket.Config, engine vm.Engine) *rig {
	t.Helper()
	r := &rig{T: t, log: &logtest.Buffer{}, metrics: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	cfg.Metrics, cfg.Log = socket.NewMetrics(), log
	r.metrics.MustRegister(cfg.Metrics)
	r.sys = actor.New(actor.Config{Log: log, CallTimeout: patience})
	sockets := socket.New(cfg)
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: os.DirFS("testdata"), Library: scripts.FS(), Modules: []lua.Module{sockets.Module()}, Engine: engine, Log: log, Budget: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", r.log)
		}
		if open := r.metric("skua_socket_open"); open != 0 {
			t.Errorf("%v sockets are left", open)
		}
		if held := r.metric("skua_socket_held_bytes"); held != 0 {
			t.Errorf("%v bytes are counted still", held)
		}
	})
	for _, spec := range []actor.Spec{sockets.Spec(), rt.Launcher()} {
		if _, err := r.sys.Spawn(spec); err != nil {
			t.Fatal(err)
		}
	}
	r.launcher, _ = r.sys.Lookup(lua.LauncherName)
	return r
}

func (r *rig) metric(name string) float64 {
	r.Helper()
	return metrictest.Value(r, r.metrics, name)
}

// start starts a service of a script.
func (r *rig) start(script string, args ...any) actor.Ref {
	r.Helper()
	v, err := r.sys.Ask(context.Background(), r.launcher, lua.Launch{Script: script, Args: value.Of(args...)})
	if err != nil {
		r.Fatalf("start %s: %v", script, err)
	}
	return v.(actor.Ref)
}

// call gives a handler's results as text, or its error.
func (r *rig) call(ref actor.Ref, cmd string, args ...any) string {
	v, err := r.sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// number is call for a handler whose first result is a number.
func (r *rig) number(ref actor.Ref, cmd string, args ...any) int64 {
	r.Helper()
	text := r.call(ref, cmd, args...)
	first, _, _ := strings.Cut(text, " ")
	n, err := strconv.ParseFloat(first, 64)
	if err != nil {
		r.Fatalf("%s %v: got %s, want a number", cmd, args, text)
	}
	return int64(n)
}

// fork has a service call a function of the module in a coroutine of its own, which has begun to wait when this returns: the number for "result".
func (r *rig) fork(ref actor.Ref, args ...any) int64 {
	r.Helper()
	n := r.number(ref, "fork", args...)
	r.call(ref, "done", n) // behind the message that has forked
	return n
}

// want fails unless a handler gives these results.
func (r *rig) want(want string, ref actor.Ref, cmd string, args ...any) {
	r.Helper()
	if got := r.call(ref, cmd, args...); got != want {
		r.Errorf("%s %v: got %s, want %s", cmd, args, short(got), short(want))
	}
}

// wantError fails unless a handler ends with an error that has the text in it.
func (r *rig) wantError(want string, ref actor.Ref, cmd string, args ...any) {
	r.Helper()
	if got := r.call(ref, cmd, args...); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
		r.Errorf("%s %v: got %s, want an error with %q", cmd, args, short(got), want)
	}
}

func short(text string) string {
	if len(text) > 300 {
		return fmt.Sprintf("%s... (%d bytes)", text[:300], len(text))
	}
	return text
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			r.Fatalf("timed out waiting until %s", what)
		}
	}
}

// logged waits for a line of the log.
func (r *rig) logged(text string) {
	r.Helper()
	r.until("the log has "+text, func() bool { return r.log.Count(text) > 0 })
}

// serve has a service listen on a free port and accept: the number of the listener and the address.
func (r *rig) serve(ref actor.Ref) (id int64, addr string) {
	r.Helper()
	got := r.call(ref, "call", "listen", "127.0.0.1", 0)
	var port int
	if _, err := fmt.Sscanf(got, `%d "127.0.0.1" %d`, &id, &port); err != nil {
		r.Fatalf("listen: got %s", got)
	}
	r.want(strconv.FormatInt(id, 10), ref, "accept", id)
	return id, net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
}

// dial connects to a service.
func (r *rig) dial(addr string) *peer {
	r.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		r.Fatal(err)
	}
	return r.peer(c)
}

// accepted connects to a service and gives both ends: the number of the service's, which it has not started.
func (r *rig) accepted(ref actor.Ref, addr string) (int64, *peer) {
	r.Helper()
	p := r.dial(addr)
	var id int64
	got := r.call(ref, "event")
	if _, err := fmt.Sscanf(got, `"accept" %d "`+p.c.LocalAddr().String()+`"`, &id); err != nil {
		r.Fatalf("got %s, want the event of %s", got, p.c.LocalAddr())
	}
	return id, p
}

// pair is a connection of a service, which has started it, and its other end.
func (r *rig) pair(ref actor.Ref) (int64, *peer) {
	r.Helper()
	listener, addr := r.serve(ref)
	id, p := r.accepted(ref, addr)
	r.want(strconv.FormatInt(id, 10), ref, "call", "start", id)
	r.want("", ref, "call", "close", listener)
	return id, p
}

// peer is the other end of a connection of a service.
type peer struct {
	*rig
	c *net.TCPConn
}

func (r *rig) peer(c net.Conn) *peer {
	r.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		r.Fatal(err)
	}
	return &peer{r, c.(*net.TCPConn)}
}

func (p *peer) write(text string) {
	p.Helper()
	if _, err := io.WriteString(p.c, text); err != nil {
		p.Fatal(err)
	}
}

// read reads as many bytes as want has, and compares.
func (p *peer) read(want string) {
	p.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(p.c, got)
	if err != nil || string(got) != want {
		p.Errorf("the peer read %q and %v, want %q", short(string(got[:n])), err, short(want))
	}
}

// end reads to the end and compares.
func (p *peer) end(want string) {
	p.Helper()
	got, err := io.ReadAll(p.c)
	if err != nil || string(got) != want {
		p.Errorf("the peer read %q and %v, want %q and the end", short(string(got)), err, short(want))
	}
}

func (p *peer) close() { p.c.Close() }

// finish tells the service that no more comes.
func (p *peer) finish() {
	p.Helper()
	if err := p.c.CloseWrite(); err != nil {
		p.Error(err)
	}
}

// host is a server in Go that scripts connect to.
type host struct {
	*rig
	l    net.Listener
	port int
	wg   sync.WaitGroup

	mu     sync.Mutex
	conns  []net.Conn
	closed bool
}

// host listens and serves each connection by a function.
func (r *rig) host(serve func(p *peer)) *host {
	r.Helper()
	return r.hostAt("127.0.0.1:0", serve)
}

func (r *rig) hostAt(addr string, serve func(p *peer)) *host {
	r.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		r.Fatal(err)
	}
	h := &host{rig: r, l: l, port: l.Addr().(*net.TCPAddr).Port}
	h.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			h.admit(c, serve)
		}
	})
	r.Cleanup(h.close)
	return h
}

func (h *host) admit(c net.Conn, serve func(p *peer)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns = append(h.conns, c)
	if h.closed {
		c.Close()
		return
	}
	h.wg.Go(func() {
		defer c.Close()
		serve(&peer{h.rig, c.(*net.TCPConn)})
	})
}

// close ends the server and all of its connections.
func (h *host) close() {
	h.l.Close()
	h.mu.Lock()
	h.closed = true
	for _, c := range h.conns {
		c.Close()
	}
	h.mu.Unlock()
	h.wg.Wait()
}
