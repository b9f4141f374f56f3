package cluster_test

import (
	"embed"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/wire"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/names"
	"github.com/skua-go/skua/cluster/topics"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// place is a node of a cluster, with scripts.
type place struct {
	*clustertest.Node
	t       *testing.T
	scripts *luatest.Node
	turn    *sync.Mutex // the service's: while it is locked that handles nothing
}

// onBoth runs a test on two nodes, with each engine.
func onBoth(t *testing.T, run func(t *testing.T, nodes []*place)) {
	t.Helper()
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) { run(t, start(t, engine)) })
}

func start(t *testing.T, engine vm.Engine) []*place {
	t.Helper()
	types := wire.NewTypes()
	lua.WireTypes(types)
	names.WireTypes(types)
	topics.WireTypes(types)
	log, _ := logtest.New(t)
	var all []*place
	for _, n := range clustertest.Start(t, 2, clustertest.Config{Types: types, Log: log}).Nodes {
		x := n.Names()
		tops := topics.New(x, 0)
		spec, err := cluster.Spec(cluster.Config{Members: n.Members, Mesh: n.Mesh, Names: x, Leases: n.Leases(), Topics: tops})
		if err != nil {
			t.Fatal(err)
		}
		n.Spawn(tops.Spec())
		p := &place{Node: n, t: t, scripts: luatest.On(t, engine, n.System, log), turn: &sync.Mutex{}}
		spec.Turn = p.turn
		n.Spawn(spec)
		p.scripts.Use(testdata, lua.Config{})
		all = append(all, p)
	}
	return all
}

// asks is a command for the service, and where its answer goes.
type asks struct {
	msg    lua.Message
	within time.Duration
	answer chan actor.Answer
}

// asker is an actor that does not wait for one answer before it asks for the next.
type asker struct{ service actor.Ref }

func (a asker) Receive(c *actor.Context, msg any) {
	if m, ok := msg.(asks); ok {
		c.AskFor(a.service, m.msg, m.within, func(v any, err error) { m.answer <- actor.Answer{Value: v, Err: err} })
	}
}

// asker gives a function by which one actor asks the node's service.
func (p *place) asker() func(within time.Duration, cmd string, args ...any) chan actor.Answer {
	p.t.Helper()
	service, ok := p.System.Lookup(cluster.ServiceName)
	if !ok {
		p.t.Fatal("no service")
	}
	ref := p.Spawn(actor.Spec{New: func() actor.Actor { return asker{service} }})
	return func(within time.Duration, cmd string, args ...any) chan actor.Answer {
		m := asks{lua.Command(cmd, args...), within, make(chan actor.Answer, 1)}
		p.System.Send(ref, m)
		return m.answer
	}
}

// tool starts a service of testdata.
func (p *place) tool() actor.Ref {
	p.t.Helper()
	return p.scripts.Start("tool")
}

// run gives the results of a chunk as text, or its error.
func (p *place) run(ref actor.Ref, chunk string) string {
	p.t.Helper()
	return p.scripts.Call(ref, "run", chunk)
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
