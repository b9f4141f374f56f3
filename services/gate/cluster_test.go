package gate_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	actorwire "github.com/skua-go/skua/actor/wire"
	client "github.com/skua-go/skua/clients/go"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/mesh"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/net/tcp"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/gate"
	"github.com/skua-go/skua/services/login"
)

// roverAgent is the agent of players who go from gate to gate: it numbers what it pushes, and keeps what it was asked.
const roverAgent = `
local skynet = require "skynet"
local gate = require "gate"
local M = { client = {} }
local client = M.client
function M.start(self, player) self.uid = player.uid; self.asked = {}; self.pushed = 0; self.heard = {}; self.node = skynet.getenv "node" end
function M.connect(self, session) self.session = session; table.insert(self.heard, "connect") end
function M.disconnect(self, session, why) table.insert(self.heard, "disconnect " .. why) end
function M.away(self, session, why) table.insert(self.heard, "away") end
function M.back(self, session) table.insert(self.heard, "back") end
function M.push(self, n)
  for i = 1, n do self.pushed = self.pushed + 1; gate.push(self.session, "news", { n = self.pushed }) end
end
function client.ask(self, request, session)
  table.insert(self.asked, request.n)
  if session ~= self.session then error { code = "wrong_session", msg = tostring(session) } end
  M.push(self, request.pushes or 0)
  if request.cs then skynet.sleep(request.cs) end
  return { n = request.n, pushed = self.pushed }
end
function client.asked(self) return { asked = #self.asked > 0 and self.asked or nil, node = self.node, heard = self.heard } end
function client.group(self) self.group = gate.group(); return { added = self.group:add(self.session) } end
function client.cast(self) self.group:push("cast", { count = self.group:count() }); return {} end
function client.leave(self, request, session) gate.kick(session, "bye", "as asked") end
function client.online(self, request) return { online = gate.online(request.uid) } end
function client.tell(self, request) gate.push_to(request.uid, "cast", { from = self.uid }) end
function client.die(self) error_in_the_end = 1; skynet.exit() end
return M`

// crowd is a cluster whose nodes have gates.
type crowd struct {
	*clustertest.Cluster
	t     testing.TB
	cfg   func(i int, cfg *gate.Config)
	more  extras
	nodes []*gated
}

// extras are what the nodes of a crowd have instead of what they have by default.
type extras struct {
	agent    string                  // the script of agents
	modules  []lua.Module            // of scripts
	services func(i int, n *gated)   // the login service, and those that it needs
	mesh     func(int, *mesh.Config) // see clustertest.Config
}

// mortal is a listener that can end as that of a process does that is killed: without a word.
type mortal struct {
	net.Listener
	mu     sync.Mutex
	conns  []net.Conn
	dead   bool
	closed chan struct{}
}

func (l *mortal) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	l.mu.Lock()
	dead := l.dead
	if err == nil {
		l.conns = append(l.conns, conn)
	}
	l.mu.Unlock()
	if err != nil && dead {
		<-l.closed // whoever serves it does not hear of it
	}
	return conn, err
}

func (l *mortal) Close() error {
	err := l.Listener.Close()
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.closed:
	default:
		close(l.closed)
	}
	if l.dead {
		return nil
	}
	return err
}

// kill ends it and its connections.
func (l *mortal) kill() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dead = true
	_ = l.Listener.Close()
	for _, conn := range l.conns {
		_ = conn.Close()
	}
}

// gated is a node with a gate.
type gated struct {
	*clustertest.Node
	gate    *gate.Gate
	metrics *gate.Metrics
	door    *mortal
	url     string
	log     *logtest.Buffer
	stop    func()
}

// logins lets everybody in under the name that they give.
func logins(c *actor.Context, msg any) {
	m, ok := msg.(login.Request)
	if !ok {
		return
	}
	name, _ := m.Body.Get("name").Str()
	c.Reply(login.Account{UID: name, Name: name, Turn: 1}, nil)
}

// meet starts so many nodes with gates.
func meet(t testing.TB, n int, roles func(i int) []string, cfg func(i int, cfg *gate.Config)) *crowd {
	t.Helper()
	return meetWith(t, n, roles, cfg, extras{})
}

func meetWith(t testing.TB, n int, roles func(i int) []string, cfg func(i int, cfg *gate.Config), more extras) *crowd {
	t.Helper()
	if more.agent == "" {
		more.agent = roverAgent
	}
	types := actorwire.NewTypes()
	lua.WireTypes(types)
	gate.WireTypes(types)
	c := &crowd{t: t, cfg: cfg, more: more}
	listeners := make([]net.Listener, n)
	for i := range listeners {
		var err error
		listeners[i], err = tcp.Listen(t.Context(), "127.0.0.1:0")
		must(t, err)
	}
	c.Cluster = clustertest.Start(t, n, clustertest.Config{Types: types, Mesh: more.mesh, Members: func(i int) cluster.MembersConfig {
		m := cluster.MembersConfig{
			Beat: 50 * time.Millisecond, Suspect: 3 * time.Second, Dead: 5 * time.Second, // nobody is taken for dead because the machine is busy
			Labels: map[string]string{gate.AddressLabel: "tcp://" + listeners[i].Addr().String()},
		}
		if roles != nil {
			m.Roles = roles(i)
		}
		return m
	}})
	for i := range n {
		c.nodes = append(c.nodes, c.open(i, listeners[i]))
	}
	return c
}

// open starts what a node has beside its actors.
func (c *crowd) open(i int, ln net.Listener) *gated {
	t := c.t
	t.Helper()
	n := &gated{Node: c.Nodes[i], metrics: gate.NewMetrics(), log: &logtest.Buffer{}, url: "tcp://" + ln.Addr().String(), door: &mortal{Listener: ln, closed: make(chan struct{})}}
	logger := slog.New(slog.NewTextHandler(n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var g *gate.Gate
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"agent.lua": &fstest.MapFile{Data: []byte(c.more.agent)}}, Library: scripts.FS(), Log: logger, Budget: patience,
		Env:     map[string]string{"node": n.Name},
		Modules: append([]lua.Module{{Name: "gate", Open: func(h *lua.Host, s vm.State) { g.Module().Open(h, s) }}}, c.more.modules...),
	})
	must(t, err)
	cfg := gate.Config{
		Runtime: rt, Agent: "agent", Metrics: n.metrics, Log: logger, Linger: patience,
		Others: &gate.Others{Members: n.Members, Mesh: n.Mesh, Keys: [][]byte{[]byte("0123456789abcdef0123456789abcdef")}},
	}
	if c.cfg != nil {
		c.cfg(i, &cfg)
	}
	g, err = gate.New(n.System, cfg)
	must(t, err)
	n.Metrics.MustRegister(n.metrics)
	n.gate = g
	if c.more.services != nil {
		c.more.services(i, n)
	} else {
		n.Spawn(actor.Spec{Name: login.ServiceName, New: func() actor.Actor { return actor.Func(logins) }})
	}
	n.Spawn(rt.Launcher())
	n.Spawn(g.Spec())
	ctx, cancel := context.WithCancel(context.Background())
	var door sync.WaitGroup
	door.Go(func() {
		if err := g.Serve(ctx, "tcp", n.door); err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	n.stop = sync.OnceFunc(func() { cancel(); door.Wait() })
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("%s:\n%s", n.Name, tail(n.log.String()))
		}
	})
	return n
}

// rover is a client that may be at any gate.
type rover struct {
	*client.Client
	mu     sync.Mutex
	pushed []int
	casts  int
	events []string
	conns  []net.Conn
	to     string // where its next connection goes
	n      int
}

// rove lets a player in at a node.
func (c *crowd) rove(name string, at int) *rover {
	c.t.Helper()
	r := &rover{to: c.nodes[at].url}
	var dialer net.Dialer
	opts := client.Options{
		Inline: true,
		NetDial: func(ctx context.Context, network, addr string) (net.Conn, error) {
			r.mu.Lock()
			to := strings.TrimPrefix(r.to, "tcp://")
			r.mu.Unlock()
			if to == "" {
				to = addr
			}
			conn, err := dialer.DialContext(ctx, network, to)
			if err == nil {
				r.mu.Lock()
				r.conns = append(r.conns, conn)
				r.mu.Unlock()
			}
			return conn, err
		},
		On: map[string]func([]byte){
			"news": func(body []byte) {
				var n int
				_, _ = fmt.Sscanf(string(body), `{"n":%d}`, &n)
				r.mu.Lock()
				r.pushed = append(r.pushed, n)
				r.mu.Unlock()
			},
			"cast": func([]byte) { r.mu.Lock(); r.casts++; r.mu.Unlock() },
		},
		OnEvent: func(e client.Event) {
			r.mu.Lock()
			r.events = append(r.events, e.Kind.String())
			r.mu.Unlock()
		},
	}
	var err error
	r.Client, err = client.Dial(c.t.Context(), c.nodes[at].url, opts)
	must(c.t, err)
	c.t.Cleanup(func() { _ = r.Close() })
	must(c.t, request(r.Client, "login", map[string]string{"name": name}, nil))
	return r
}

// move has the client's next connection go to another node, and cuts the one that it has.
func (r *rover) move(to *gated) {
	r.mu.Lock()
	r.to = to.url
	r.mu.Unlock()
	r.cut()
}

// cut breaks all connections of the client.
func (r *rover) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, conn := range r.conns {
		_ = conn.Close()
	}
	r.conns = nil
}

// ask asks the agent something that has it push so many times first.
func (r *rover) ask(pushes, cs int) error {
	r.mu.Lock()
	r.n++
	n := r.n
	r.mu.Unlock()
	var answer struct{ N, Pushed int }
	if err := request(r.Client, "ask", map[string]int{"n": n, "pushes": pushes, "cs": cs}, &answer); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if answer.N != n || len(r.pushed) < answer.Pushed {
		return fmt.Errorf("the answer to %d is of %d, behind %d of %d pushes", n, answer.N, len(r.pushed), answer.Pushed)
	}
	return nil
}

// inOrder tells what is wrong with the pushes that have come.
func (r *rover) inOrder() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, n := range r.pushed {
		if n != i+1 {
			return fmt.Errorf("push %d is number %d of %v", i+1, n, r.pushed)
		}
	}
	return nil
}

// asked is what the agent has been asked, where it is, and what it has heard of its session.
func (r *rover) asked(t *testing.T) (asked []int, node string, heard []string) {
	t.Helper()
	var answer struct {
		Asked []int
		Node  string
		Heard []string
	}
	must(t, request(r.Client, "asked", nil, &answer))
	return answer.Asked, answer.Node, answer.Heard
}

// settledAt waits until the session is at this node, and at no other.
func (c *crowd) settledAt(i int) {
	c.t.Helper()
	until(c.t, fmt.Sprintf("one session is at n%d, and none elsewhere", i), func() bool {
		for at, n := range c.nodes {
			if n.gate.Sessions().Count() != map[bool]int{true: 1}[at == i] {
				return false
			}
		}
		return true
	})
}

func upTo(n int) (all []int) {
	for i := range n {
		all = append(all, i+1)
	}
	return all
}

func TestASessionGoesOnAtAnotherGateWithAllThatItHas(t *testing.T) {
	t.Parallel()
	c := meet(t, 3, nil, nil)
	r := c.rove("ann", 0)
	must(t, r.ask(3, 0))
	must(t, request(r.Client, "group", nil, nil))
	c.settledAt(0)
	slow := make(chan error, 1)
	go func() { slow <- r.ask(2, 50) }() // it is being handled when the session goes
	until(t, "the agent has pushed", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return len(r.pushed) == 5 })
	r.move(c.nodes[1])
	must(t, <-slow)
	c.settledAt(1)
	must(t, r.ask(4, 0))
	must(t, request(r.Client, "cast", nil, nil))
	must(t, r.inOrder())
	asked, node, heard := r.asked(t)
	if !slices.Equal(asked, upTo(3)) || node != "n0" || heard[0] != "connect" || slices.ContainsFunc(heard, func(s string) bool { return strings.HasPrefix(s, "disconnect") }) {
		t.Errorf("the agent at %s was asked %v, and heard %q", node, asked, heard)
	}
	until(t, "the group's push is there", func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.casts == 1 })
	if len(r.pushed) != 9 {
		t.Errorf("%d pushes", len(r.pushed))
	}
	must(t, r.Close())
	until(t, "nothing is left of it anywhere", func() bool {
		return c.nodes[0].gate.Sessions().Known() == 0 && c.nodes[1].gate.Sessions().Known() == 0
	})
}
