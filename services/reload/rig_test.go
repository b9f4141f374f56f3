package reload_test

import (
	"context"
	"io/fs"
	"maps"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lua54"
	code "github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/reload"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// folder is a project's, whose scripts somebody changes.
type folder struct {
	mu    sync.Mutex
	files map[string]string
}

func newFolder(files ...string) *folder {
	f := &folder{files: map[string]string{}}
	f.put(files...)
	return f
}

// put changes scripts: names and texts by turns.
func (f *folder) put(files ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := 0; i < len(files); i += 2 {
		f.files[files[i]] = files[i+1]
	}
}

func (f *folder) drop(file string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.files, file)
}

func (f *folder) version() *code.Version {
	f.mu.Lock()
	defer f.mu.Unlock()
	return code.NewVersion(maps.Clone(f.files))
}

// Open is of what is there at the moment.
func (f *folder) Open(name string) (fs.File, error) {
	return reload.Tree{Version: f.version()}.Open(name)
}

// node is one with scripts.
type node struct {
	*clustertest.Node
	t      testing.TB
	rt     *lua.Runtime
	svc    *reload.Service
	leases *lease.Leases
	folder *folder
	log    *logtest.Buffer
	stop   func()
}

// rig is what is different in a test.
type rig struct {
	secret  bool
	instead *reload.BootError
	modules []lua.Module
	change  func(cfg *reload.Config)
}

// run has a node of a cluster run what it finds.
func (r rig) run(t testing.TB, of *clustertest.Node, f *folder) *node {
	t.Helper()
	n := &node{Node: of, t: t, folder: f}
	log, written := logtest.New(t)
	n.log = written
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var err error
	if n.leases, err = lease.Open(ctx, of.Node, of.Members, lease.Config{TTL: 20 * time.Second, Grace: time.Second, Dead: 3 * time.Second}); err != nil {
		t.Fatal(err)
	}
	engine := lua54.New()
	if n.rt, err = lua.NewRuntime(lua.Config{Scripts: f, Library: scripts.FS(), Engine: engine, Modules: r.modules, Log: log}); err != nil {
		t.Fatal(err)
	}
	cfg := reload.Config{
		Name: of.Name, System: of.System, Runtime: n.rt, Engines: []vm.Engine{engine}, Scripts: f, Node: of.Node, Members: of.Members, Leases: n.leases,
		Log: log, Metrics: of.Metrics, Clustered: r.secret, StuckAfter: 50 * time.Millisecond,
	}
	if r.secret {
		if cfg.Key, err = cluster.Key("0123456789abcdef0123456789abcdef", "versions"); err != nil {
			t.Fatal(err)
		}
	}
	if r.change != nil {
		r.change(&cfg)
	}
	if n.svc, err = reload.Open(ctx, cfg); err != nil {
		t.Fatal(err)
	}
	if err := n.svc.Boot(ctx, r.instead); err != nil {
		t.Fatal(err)
	}
	n.Spawn(n.rt.Launcher())
	serving, end := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.svc.Serve(serving) }()
	n.stop = sync.OnceFunc(func() {
		end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := n.leases.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(n.stop)
	return n
}

// booted says that the node has begun.
func (n *node) booted() *node {
	n.t.Helper()
	if err := n.svc.Booted(context.Background()); err != nil {
		n.t.Fatal(err)
	}
	return n
}

// alone is one node with these scripts.
func (r rig) alone(t testing.TB, files ...string) *node {
	t.Helper()
	return r.run(t, clustertest.Start(t, 1, clustertest.Config{}).Nodes[0], newFolder(files...)).booted()
}

// nodes are some, with the same scripts.
func (r rig) nodes(t testing.TB, c *clustertest.Cluster, files ...string) []*node {
	t.Helper()
	r.secret = true
	all := make([]*node, len(c.Nodes))
	for i := range c.Nodes {
		all[i] = r.run(t, c.Nodes[i], newFolder(files...)).booted()
	}
	return all
}

// launch starts a service of a script.
func (n *node) launch(script string, shared bool) actor.Ref {
	n.t.Helper()
	launcher, _ := n.System.Lookup(lua.LauncherName)
	v, err := n.System.Ask(context.Background(), launcher, lua.Launch{Script: script, Shared: shared})
	if err != nil {
		n.t.Fatal(err)
	}
	return v.(actor.Ref)
}

// call is a service's answer as text.
func (n *node) call(ref actor.Ref, command string, args ...any) string {
	n.t.Helper()
	text, err := n.try(ref, command, args...)
	if err != nil {
		n.t.Fatal(err)
	}
	return text
}

func (n *node) try(ref actor.Ref, command string, args ...any) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	v, err := n.System.Ask(ctx, ref, lua.Command(command, args...))
	if err != nil {
		return "", err
	}
	answer := v.(value.List).At(0)
	if text, ok := answer.Str(); ok {
		return text, nil
	}
	return answer.String(), nil
}

// do asks for a change, and gives what came of it.
func (n *node) do(o reload.Order) reload.Change {
	n.t.Helper()
	c, err := n.svc.Begin(o, time.Minute)
	if err != nil {
		n.t.Fatal(err)
	}
	return c
}

// reload expects that it is done.
func (n *node) reload(files ...string) reload.Change {
	n.t.Helper()
	n.folder.put(files...)
	c := n.do(reload.Order{Who: "anna"})
	if c.State != reload.Done {
		n.t.Fatalf("%s: %s", c.State, c.Error)
	}
	return c
}

func (n *node) versions() reload.Versions {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	v, err := n.svc.Versions(ctx, 100)
	if err != nil {
		n.t.Fatal(err)
	}
	return v
}

// counter is a script whose functions tell which version they are of, and whose state has to stay.
func counter(version string) string {
	return "local n = 0\nlocal M = {}\nfunction M.add() n = n + 1 return n end\nfunction M.version() return '" + version + "' end\nreturn M\n"
}
