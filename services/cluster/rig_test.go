package cluster_test

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// place is a node with scripts.
type place struct {
	*clustertest.Node
	t  *testing.T
	rt *lua.Runtime
}

// onBoth runs a test on two nodes, with each engine.
func onBoth(t *testing.T, run func(t *testing.T, nodes []*place)) {
	t.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []vm.Engine{lua54.Engine{}, second} {
		t.Run(engine.Name(), func(t *testing.T) { run(t, start(t, engine)) })
	}
}

func start(t *testing.T, engine vm.Engine) []*place {
	t.Helper()
	files, err := fs.Sub(testdata, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	types := wire.NewTypes()
	lua.WireTypes(types)
	names.WireTypes(types)
	topics.WireTypes(types)
	text := &logtest.Buffer{}
	log := slog.New(slog.NewTextHandler(text, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", text)
		}
	})
	var all []*place
	for _, n := range clustertest.Start(t, 2, clustertest.Config{Types: types, Log: log}).Nodes {
		x, err := names.New(names.Config{Node: n.Node, Members: n.Members, System: n.System, Mesh: n.Mesh})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		leases, err := lease.Open(ctx, n.Node, n.Members, lease.Config{Log: log})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			n.Leave() // what holds leases ends first
			if err := leases.Close(); err != nil {
				t.Error(err)
			}
		})
		tops := topics.New(x, 0)
		spec, err := cluster.Spec(cluster.Config{Members: n.Members, Mesh: n.Mesh, Names: x, Leases: leases, Topics: tops})
		if err != nil {
			t.Fatal(err)
		}
		p := &place{Node: n, t: t}
		if p.rt, err = lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Engine: engine, Log: log}); err != nil {
			t.Fatal(err)
		}
		for _, spec := range []actor.Spec{x.Spec(), tops.Spec(), spec} {
			n.Spawn(spec)
		}
		all = append(all, p)
	}
	return all
}

// tool starts a service of testdata.
func (p *place) tool() actor.Ref {
	p.t.Helper()
	ref := p.Spawn(p.rt.Spec("tool", value.Of()))
	if _, err := p.System.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		p.t.Fatal(err)
	}
	return ref
}

// run gives the results of a chunk as text, or its error.
func (p *place) run(ref actor.Ref, chunk string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	v, err := p.System.Ask(ctx, ref, lua.Command("run", chunk))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// gives fails unless a chunk gives what is wanted.
func (p *place) gives(ref actor.Ref, chunk, want string) {
	p.t.Helper()
	if got := p.run(ref, chunk); got != want {
		p.t.Fatalf("%s\ngot  %s\nwant %s", chunk, got, want)
	}
}

// comes waits until a chunk gives what is wanted.
func (p *place) comes(ref actor.Ref, chunk, want string) {
	p.t.Helper()
	clustertest.Eventually(p.t, chunk+" gives "+want, func() bool { return p.run(ref, chunk) == want })
}
