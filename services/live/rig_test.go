package live_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/net/kcp"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/net/transport"
	"github.com/skua-go/skua/net/ws"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/live"
	"github.com/skua-go/skua/services/login"
	"github.com/skua-go/skua/services/room"
)

// kcp-go has timer goroutines of its own that last as long as the process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

// patience is for what must happen; a test that takes as long has failed.
const patience = time.Minute

// rig is a node with a gate, whose clients log in under any name, and rooms.
type rig struct {
	*testing.T
	sys   *actor.System
	rooms *room.Rooms
	log   *logtest.Buffer
	urls  map[string]string
	addrs map[string]net.Addr
}

// options are what a test wants otherwise. The zero value is a room for everybody.
type options struct {
	rooms room.Config
	live  live.Config
	gate  gate.Config
	kcp   kcp.Config
}

func start(t *testing.T, o options) *rig {
	t.Helper()
	r := &rig{T: t, log: &logtest.Buffer{}, urls: map[string]string{}, addrs: map[string]net.Addr{}}
	log := slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.sys = actor.New(actor.Config{Log: log, CallTimeout: patience})
	r.rooms = room.New(r.sys, o.rooms)
	if o.live.Rooms == nil {
		o.live.Rooms = r.rooms
	}
	o.live.Log = log
	server, err := live.New(o.live)
	r.must(err)
	o.gate.Log, o.gate.Handle = log, echo
	if o.gate.Login == "" {
		o.gate.Login = gate.LoginGuest
	}
	o.gate.Media = &gate.Media{
		Offer: server.Offer(64 << 10),
		Join: func(c *transport.Conn, player func(context.Context) string) gate.MediaClient {
			return server.Join(c, player)
		},
	}
	g, err := gate.New(r.sys, o.gate)
	r.must(err)
	for _, spec := range []actor.Spec{{Name: login.ServiceName, New: func() actor.Actor { return actor.Func(guests) }}, r.rooms.Spec(), g.Spec()} {
		_, err := r.sys.Spawn(spec)
		r.must(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var doors sync.WaitGroup
	doors.Go(func() { r.must(server.Serve(ctx)) })
	serve := func(kind string, ln net.Listener) {
		r.addrs[kind] = ln.Addr()
		doors.Go(func() {
			if err := g.Serve(ctx, kind, ln); err != nil {
				t.Errorf("serve %s: %v", kind, err)
			}
		})
	}
	plain, err := tcp.Listen(ctx, "127.0.0.1:0")
	r.must(err)
	serve("tcp", plain)
	udp, err := kcp.Listen("127.0.0.1:0", o.kcp)
	r.must(err)
	serve("kcp", udp)
	sockets := ws.NewListener(ws.Config{})
	pages := httptest.NewServer(http.HandlerFunc(sockets.ServeHTTP))
	serve("ws", sockets)
	r.urls = map[string]string{
		"tcp": "tcp://" + plain.Addr().String(), "kcp": "kcp://" + udp.Addr().String(), "ws": "ws" + strings.TrimPrefix(pages.URL, "http") + "/ws",
	}
	t.Cleanup(func() {
		cancel()
		doors.Wait()
		pages.Close()
		end, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := r.sys.Shutdown(end); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			text := r.log.String()
			t.Log(text[max(0, len(text)-8<<10):])
		}
	})
	return r
}

// guests is the login service: all are whom they say.
func guests(c *actor.Context, msg any) {
	m, ok := msg.(login.Request)
	if !ok {
		return
	}
	name, _ := m.Body.Get("name").Str()
	if name == "" {
		name = login.NewUID()
	}
	c.Reply(login.Account{UID: name, Name: name}, nil)
}

func echo(_ *actor.Context, r *gate.Request) { r.Reply(r.Body) }

func (r *rig) must(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	r.Cleanup(cancel)
	return ctx
}

// enter connects and logs in.
func (r *rig) enter(kind, name string, opts client.Options) *client.Client {
	r.Helper()
	opts.RequestTimeout = patience
	opts.Login = func(ctx context.Context, s *client.Session) error {
		_, err := s.Login(ctx, map[string]string{"name": name})
		return err
	}
	c, err := client.Dial(r.ctx(), r.urls[kind], opts)
	r.must(err)
	r.Cleanup(func() { _ = c.Close() })
	return c
}

// The tracks of most tests: no decoder looks at them.
func tracks() []client.Track {
	return []client.Track{{Codec: "vp8", Width: 640, Height: 360}, {Codec: "opus"}}
}

const (
	pictures = 0
	sound    = 1
)

func (r *rig) publish(c *client.Client, name string, opts client.PublishOptions) *client.Publish {
	r.Helper()
	if opts.Tracks == nil {
		opts.Tracks = tracks()
	}
	p, err := c.Publish(r.ctx(), name, opts)
	r.must(err)
	return p
}

func (r *rig) watch(c *client.Client, name string, opts client.WatchOptions) *client.Watch {
	r.Helper()
	w, err := c.Watch(r.ctx(), name, opts)
	r.must(err)
	return w
}

// next is a viewer's next frame.
func (r *rig) next(w *client.Watch) client.Frame {
	r.Helper()
	f, err := w.Next(r.ctx())
	r.must(err)
	return f
}

// end is the code of a room's end.
func (r *rig) end(done <-chan struct{}, err func() error) string {
	r.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		r.Fatal("the room did not end")
	}
	return codeOf(err())
}

func codeOf(err error) string {
	if e, ok := errors.AsType[*client.RoomError](err); ok {
		return e.Code
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

// command is what a script would have a room do.
func (r *rig) command(args ...any) {
	r.Helper()
	ref, _ := r.sys.Lookup(room.ServiceName)
	_, err := r.sys.Ask(r.ctx(), ref, lua.Command(args[0].(string), args[1:]...))
	r.must(err)
}

// until waits for a condition.
func (r *rig) until(what string, met func() bool) {
	r.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(time.Millisecond) {
		if time.Now().After(end) {
			r.Fatalf("not in time: %s", what)
		}
	}
}

// info is what the node knows of a room.
func (r *rig) info(name string) (found room.Info) {
	ref, _ := r.sys.Lookup(room.ServiceName)
	v, err := r.sys.Ask(r.ctx(), ref, room.List{})
	r.must(err)
	for _, info := range v.([]room.Info) {
		if info.Name == name {
			found = info
		}
	}
	return found
}

// events collects what a room tells.
type events struct {
	mu  sync.Mutex
	all []client.RoomEvent
}

func (e *events) on(one client.RoomEvent) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, one)
}

func (e *events) has(met func(client.RoomEvent) bool) func() bool {
	return func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		for _, one := range e.all {
			if met(one) {
				return true
			}
		}
		return false
	}
}

func kind(k client.RoomEventKind) func(client.RoomEvent) bool {
	return func(e client.RoomEvent) bool { return e.Kind == k }
}
