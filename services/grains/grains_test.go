package grains_test

import (
	"context"
	"embed"
	"fmt"
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
	"github.com/skua-go/skua/cluster/grain"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/grains"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// place is a node with grains of scripts.
type place struct {
	*clustertest.Node
	t   *testing.T
	all *grain.Grains
	ref actor.Ref // a service that runs chunks
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
	types := wire.NewTypes()
	lua.WireTypes(types)
	grain.WireTypes(types)
	text := &logtest.Buffer{}
	log := slog.New(slog.NewTextHandler(text, nil))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", text)
		}
	})
	var all []*place
	for _, n := range clustertest.Start(t, 2, clustertest.Config{Types: types, Log: log, Lease: 20 * time.Second}).Nodes {
		all = append(all, open(t, engine, n, log))
	}
	return all
}

func open(t *testing.T, engine vm.Engine, n *clustertest.Node, log *slog.Logger) *place {
	t.Helper()
	files, err := fs.Sub(testdata, "testdata")
	if err != nil {
		t.Fatal(err)
	}
	x := grains.New(grains.Config{})
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: files, Library: scripts.FS(), Engine: engine, Log: log, Modules: []lua.Module{x.Module()}, Env: map[string]string{"node": n.Name},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.Spawn(rt.Launcher())
	kinds, err := x.Kinds(rt, []grains.Kind{
		{Name: "counter", Script: "counter"}, {Name: "brief", Script: "counter", Idle: 100 * time.Millisecond}, {Name: "here", Script: "counter", Placement: grain.PreferLocal},
	})
	if err != nil {
		t.Fatal(err)
	}
	p := &place{Node: n, t: t}
	p.all, err = grain.Open(grain.Config{Node: n.Node, Members: n.Members, Mesh: n.Mesh, System: n.System, Kinds: kinds, Log: log, Cut: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.all.Close(); err != nil {
			t.Error(err)
		}
	})
	x.Use(p.all)
	p.ref = n.Spawn(rt.Spec("tool", value.Of()))
	if _, err := n.System.Ask(context.Background(), p.ref, lua.Ready{}); err != nil {
		t.Fatal(err)
	}
	return p
}

// run gives the results of a chunk as text, or its error.
func (p *place) run(chunk string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	v, err := p.System.Ask(ctx, p.ref, lua.Command("run", chunk))
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
func (p *place) gives(chunk, want string) {
	p.t.Helper()
	if got := p.run(chunk); got != want {
		p.t.Fatalf("%s\ngot  %s\nwant %s", chunk, got, want)
	}
}

func TestAGrainOfAScriptIsOneForAllNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		for id := range 10 {
			for i, p := range nodes {
				p.gives(fmt.Sprintf(`local g = grain("counter", %d) g:send("add", 1) return g:call("add", 1)`, id), fmt.Sprint(102+2*i))
			}
		}
		if a, b := nodes[0].all.Count(), nodes[1].all.Count(); a == 0 || b == 0 || a+b != 10 {
			t.Errorf("the nodes have %d and %d of 10 grains", a, b)
		}
	})
}

func TestAGrainKnowsWhoItIs(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		nodes[1].gives(`return grain("here", "x/1"):call("who")`, `"here" "x/1" "n1"`)
		nodes[0].gives(`return grain("here", "x/1"):call("who")`, `"here" "x/1" "n1"`)
		nodes[0].gives(`return select("#", grain.self()), tostring(grain("here", 7))`, `0 "[Grain here/7]"`)
	})
}

func TestAGrainOfAScriptSleepsAndIsWoken(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		for _, kind := range []string{"brief", "counter"} {
			nodes[0].gives(`g = grain("`+kind+`", "a") first = g:call("epoch") return g:call("add", 5)`, "105")
			if kind == "counter" {
				nodes[0].gives(`return g:send("sleep")`, "")
			}
			clustertest.Eventually(t, "the grain sleeps", func() bool { return nodes[0].all.Count()+nodes[1].all.Count() == 0 })
			nodes[0].gives(`return g:call("add", 5), g:call("epoch") > first`, "105 true")
			if kind == "brief" {
				clustertest.Eventually(t, "the grain sleeps once more", func() bool { return nodes[0].all.Count()+nodes[1].all.Count() == 0 })
			}
		}
	})
}

func TestErrorsOfGrainsAreThoseOfCalls(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		for _, p := range nodes {
			p.gives(`local ok, err = pcall(function() return grain("counter", 1):call("fail") end)
				return ok, err.code, err.message:match("no luck"), err.traceback:match("counter.lua") ~= nil`, `false "failed" "no luck" true`)
			p.gives(`local ok, err = pcall(function() return grain("counter", "broken"):call("add", 1) end)
				return ok, tostring(err):match("its content is broken")`, `false "its content is broken"`)
			p.gives(`local ok, err = pcall(function() return grain("nothing", 1):call("add", 1) end)
				return ok, tostring(err):match("no such kind")`, `false "no such kind"`)
			p.gives(`local ok, err = pcall(function() return grain("counter", {}) end) return ok, err:match("an id is expected")`, `false "an id is expected"`)
			p.gives(`local ok, err = pcall(grain.sleep) return ok, tostring(err):match("is no grain")`, `false "is no grain"`)
		}
	})
}

func TestGrainsCallGrains(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		for id := range 6 {
			nodes[id%2].gives(fmt.Sprintf(`return grain("counter", %d):call("pass", "counter", %d, "add", 1)`, id, id+100), "101")
		}
		nodes[0].gives(`return grain("counter", 1):call_timeout(500, "add", 0)`, "100")
	})
}

func TestGrainsOfScriptsMoveWithADrain(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		for id := range 10 {
			nodes[0].gives(fmt.Sprintf(`return grain("counter", %d):call("add", 1)`, id), "101")
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		if err := nodes[1].all.Drain(ctx); err != nil {
			t.Fatal(err)
		}
		for id := range 10 {
			nodes[1].gives(fmt.Sprintf(`return (select(3, grain("counter", %d):call("who")))`, id), `"n0"`)
		}
	})
}

func TestAKindOfAScriptThatThereIsNotIsRefused(t *testing.T) {
	rt, err := lua.NewRuntime(lua.Config{Scripts: testdata})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := grains.New(grains.Config{}).Kinds(rt, []grains.Kind{{Name: "x", Script: "nowhere"}}); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Error(err)
	}
}
