package reload_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

func TestAllNodesOfAClusterGoOver(t *testing.T) {
	nodes := rig{}.nodes(t, clustertest.Start(t, 3, clustertest.Config{}), "agent.lua", counter("one"))
	refs := make([]actor.Ref, len(nodes))
	for i, n := range nodes {
		refs[i] = n.launch("agent", false)
		n.call(refs[i], "add")
	}
	c := nodes[1].reload("agent.lua", counter("two"))
	for i, n := range nodes {
		if v, count := n.call(refs[i], "version"), n.call(refs[i], "add"); v != "two" || count != "2" {
			t.Errorf("%s: version %s, count %s", n.Name, v, count)
		}
	}
	if len(c.Plan.Nodes) != 3 || len(c.Nodes) != 3 {
		t.Errorf("planned for %v, done on %v", c.Plan.Nodes, c.Nodes)
	}
	v := nodes[2].versions()
	if len(v.Nodes) != 3 || v.Current != c.To {
		t.Errorf("%+v", v)
	}
	for _, runs := range v.Nodes {
		if runs.Error != "" || runs.Version != c.To || len(runs.Actors) == 0 {
			t.Errorf("%+v", runs)
		}
	}
	if back := nodes[0].do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done {
		t.Fatal(back.Error)
	}
	for i, n := range nodes {
		if v := n.call(refs[i], "version"); v != "one" {
			t.Errorf("%s runs %s", n.Name, v)
		}
	}
}

// One actor that fails, on one of the nodes, has all nodes go back.
func TestAFailureOnOneNodeUndoesAll(t *testing.T) {
	nodes := rig{}.nodes(t, clustertest.Start(t, 3, clustertest.Config{}), "agent.lua", counter("one"))
	refs := make([]actor.Ref, len(nodes))
	for i, n := range nodes {
		refs[i] = n.launch("agent", false)
	}
	for range 4 {
		nodes[2].call(refs[2], "add")
	}
	nodes[0].folder.put("agent.lua", strings.Replace(counter("two"), "return M\n", "function M.on_upgrade() if n > 3 then error('too many') end end\nreturn M\n", 1))
	c := nodes[0].do(reload.Order{Who: "anna"})
	if c.State != reload.Undone || !strings.Contains(c.Error, "n2: ") || !strings.Contains(c.Error, "too many") {
		t.Fatalf("%s: %s", c.State, c.Error)
	}
	for i, n := range nodes {
		if v := n.call(refs[i], "version"); v != "one" {
			t.Errorf("%s runs %s", n.Name, v)
		}
		if runs := n.versions().Nodes[0]; runs.Version != c.From || len(runs.Old) != 0 {
			t.Errorf("%+v", runs)
		}
	}
	nodes[1].reload("agent.lua", counter("three"))
	for i, n := range nodes {
		if v := n.call(refs[i], "version"); v != "three" {
			t.Errorf("behind it, %s runs %s", n.Name, v)
		}
	}
}

// A node that comes later, or comes back, runs what the cluster runs, whatever lies in its folder.
func TestANodeThatComesLaterRunsTheCurrentVersion(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	r := rig{secret: true}
	first := r.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	second := r.run(t, c.Nodes[1], newFolder("agent.lua", counter("one"))).booted()
	first.reload("agent.lua", counter("two"))
	second.stop()
	c.Nodes[1].Leave()
	clustertest.Eventually(t, "the first node knows that the second has left", func() bool {
		m, _ := first.Members.Find("n1")
		return !m.State.Reachable()
	})
	first.reload("agent.lua", counter("three"))
	back := r.run(t, c.Run(1), newFolder("agent.lua", counter("old"))).booted()
	if v := back.call(back.launch("agent", false), "version"); v != "three" {
		t.Errorf("it runs %s", v)
	}
	if back.log.Count("and not with the scripts in its folder") == 0 {
		t.Error("it does not say that its folder has other scripts")
	}
}

// A node that runs something else than the record says comes to the record, whoever has led what before.
func TestANodeComesToTheCurrentVersionByItself(t *testing.T) {
	nodes := rig{}.nodes(t, clustertest.Start(t, 2, clustertest.Config{}), "agent.lua", counter("one"))
	away := nodes[1].launch("agent", false)
	// The record goes back to what was current before, without a change that the nodes are told of.
	js := nodes[0].Node.Node.JetStream()
	kv, err := js.KeyValue(t.Context(), "skua_versions")
	if err != nil {
		t.Fatal(err)
	}
	before, err := kv.Get(t.Context(), "current")
	if err != nil {
		t.Fatal(err)
	}
	nodes[0].reload("agent.lua", counter("two"))
	if _, err := kv.Put(t.Context(), "current", before.Value()); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the node is back on the version of the record", func() bool {
		return nodes[1].call(away, "version") == "one"
	})
}

func TestOfTwoOperatorsOneWins(t *testing.T) {
	m, begun, free := blocker()
	c := clustertest.Start(t, 2, clustertest.Config{})
	r := rig{secret: true, modules: nil}
	r.modules = append(r.modules, m)
	nodes := r.nodes(t, c, "agent.lua", counter("one"), "busy.lua", "local block = require 'blocker'\nreturn { work = function() block() end }")
	busy := nodes[0].launch("busy", false)
	var all sync.WaitGroup
	all.Go(func() { _, _ = nodes[0].try(busy, "work") })
	<-begun
	nodes[0].folder.put("agent.lua", counter("two"))
	nodes[1].folder.put("agent.lua", counter("three"))
	if c, err := nodes[0].svc.Begin(reload.Order{Who: "anna"}, 0); err != nil || c.State != reload.Running {
		t.Fatal(c.State, err)
	}
	clustertest.Eventually(t, "the first waits for an actor", func() bool {
		c, _ := nodes[0].svc.Last()
		return len(c.Stuck) > 0
	})
	if c := nodes[1].do(reload.Order{Who: "ben"}); c.State != reload.Undone || !strings.Contains(c.Error, "node n0") || !strings.Contains(c.Error, `"anna"`) {
		t.Errorf("the second: %s %s", c.State, c.Error)
	}
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "ben"}, 0); !errors.Is(err, reload.ErrBusy) || !strings.Contains(err.Error(), "anna") {
		t.Errorf("on the same node: %v", err)
	}
	close(free)
	all.Wait()
	if c, err := nodes[0].svc.Await(t.Context()); err != nil || c.State != reload.Done {
		t.Errorf("the first: %s %v", c.State, err)
	}
	nodes[1].reload()
}

func TestOrdersOfStrangersAreRefused(t *testing.T) {
	nodes := rig{}.nodes(t, clustertest.Start(t, 2, clustertest.Config{}), "agent.lua", counter("one"))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := nodes[1].Node.Node.Conn().RequestMsgWithContext(ctx, &nats.Msg{Subject: "skua.reload.n0", Data: append(make([]byte, 32), `{"v":1,"node":"n0","step":"survey"}`...)})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(m.Data), "not signed") || nodes[0].Metric("skua_reload_refused_total") != 1 {
		t.Errorf("%s", m.Data)
	}
	// Nor does a record that somebody else has written make a node run something.
	kv, err := nodes[0].Node.Node.JetStream().KeyValue(ctx, "skua_versions")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(ctx, "current", []byte(`{"id":"0123456789abcdef","sum":"","time":"2027-01-01T00:00:00Z"}`)); err != nil {
		t.Fatal(err)
	}
	if c := nodes[1].do(reload.Order{Who: "anna"}); c.State != reload.Undone || !strings.Contains(c.Error, "not signed") {
		t.Errorf("%s %s", c.State, c.Error)
	}
}

func TestWithoutASecretOtherNodesAreNotTold(t *testing.T) {
	c := clustertest.Start(t, 2, clustertest.Config{})
	first := rig{}.run(t, c.Nodes[0], newFolder("agent.lua", counter("one"))).booted()
	first.folder.put("agent.lua", counter("two"))
	if c := first.do(reload.Order{Who: "anna"}); c.State != reload.Undone || !strings.Contains(c.Error, "SKUA_CLUSTER_SECRET") {
		t.Errorf("%s %s", c.State, c.Error)
	}
}
