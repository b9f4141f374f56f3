package reload_test

import (
	"context"
	"io/fs"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// trio is three nodes with an agent each. The first leads changes, and dies of them.
type trio struct {
	t       *testing.T
	cluster *clustertest.Cluster
	nodes   []*node
	agents  []actor.Ref
}

func newTrio(t *testing.T, change func(cfg *reload.Config)) *trio {
	t.Helper()
	r := &trio{t: t, cluster: clustertest.Start(t, 3, clustertest.Config{})}
	r.nodes = rig{change: func(cfg *reload.Config) {
		cfg.Timeout = 5 * time.Second
		if change != nil {
			change(cfg)
		}
	}}.nodes(t, r.cluster, "agent.lua", counter("one"))
	for _, n := range r.nodes {
		ref := n.launch("agent", false)
		n.call(ref, "add")
		r.agents = append(r.agents, ref)
	}
	return r
}

// run tells whether the agents of the nodes that live on run a version.
func (r *trio) run(version string) bool {
	for i, n := range r.nodes[1:] {
		if n.call(r.agents[i+1], "version") != version {
			return false
		}
	}
	return true
}

// survives checks that the two nodes that are left run a version, as a whole and with their state, say so, and can be told to run another one.
func (r *trio) survives(version, id string) {
	r.t.Helper()
	v := r.nodes[1].versions()
	if v.Current != id {
		r.t.Errorf("the cluster runs %s, expected %s", v.Current, id)
	}
	for _, runs := range v.Nodes {
		if runs.Node != "n0" && (runs.Version != id || runs.Change != nil || len(runs.Old) != 0 || runs.Behind != "") {
			r.t.Errorf("%+v", runs)
		}
	}
	for i, n := range r.nodes[1:] {
		if got := n.call(n.launch("agent", false), "version"); got != version {
			r.t.Errorf("a new agent on %s runs %s", n.Name, got)
		}
		if got := n.call(r.agents[i+1], "add"); got != "2" {
			r.t.Errorf("%s: the count is %s", n.Name, got)
		}
	}
	back := rig{secret: true}.run(r.t, r.cluster.Run(0), newFolder("agent.lua", counter("one"))).booted()
	if got := back.call(back.launch("agent", false), "version"); got != version {
		r.t.Errorf("the leader is back, and runs %s", got)
	}
	clustertest.Eventually(r.t, "the others know that it is back", func() bool {
		m, known := r.nodes[1].Members.Find("n0")
		return known && m.State.Reachable() && m.Incarnation == back.Members.Self().Incarnation
	})
	r.nodes[1].folder.put("agent.lua", counter("three"))
	clustertest.Eventually(r.t, "the right to lead is free again", func() bool { return r.nodes[1].do(reload.Order{Who: "ben"}).State == reload.Done })
	clustertest.Eventually(r.t, "all go over to another version", func() bool {
		return r.run("three") && back.call(back.launch("agent", false), "version") == "three"
	})
}

// All have brought their agents over, and nothing is recorded yet: the new version runs, and it is told that this is not decided. It was never recorded, so all go back.
func TestALeaderThatDiesBetweenApplyAndRecord(t *testing.T) {
	r := newTrio(t, nil)
	lead, other := r.nodes[0], r.nodes[1]
	asked := make(chan struct{}, 1)
	heard := r.cluster.Mute("$KV.skua_versions.current", asked)
	lead.folder.put("agent.lua", counter("two"))
	if _, err := lead.svc.Begin(reload.Order{Who: "anna"}, 0); err != nil {
		t.Fatal(err)
	}
	<-asked
	if !r.run("two") {
		t.Fatal("not all run the new version when it is recorded")
	}
	v := other.versions()
	for _, runs := range v.Nodes {
		if runs.Change == nil || !runs.Change.Applied || runs.Change.Version != runs.Version || runs.Version == v.Current {
			t.Errorf("%+v", runs)
		}
	}
	other.folder.put("agent.lua", counter("three"))
	if second := other.do(reload.Order{Who: "ben"}); second.State != reload.Undone {
		t.Errorf("another change meanwhile: %s", second.State)
	}
	r.cluster.Nodes[0].Kill()
	heard()
	clustertest.Eventually(t, "all are back", func() bool { return r.run("one") })
	clustertest.Eventually(t, "both say why", func() bool {
		return r.nodes[1].log.Count("whoever led a change is gone") == 1 && r.nodes[2].log.Count("whoever led a change is gone") == 1
	})
	clustertest.Eventually(t, "the history has it", func() bool { return other.versions().History[0].ID != v.Current })
	if e := other.versions().History[0]; e.Outcome != "undone" || e.Error != "the node that led it is gone" || e.Node != "n0" || e.From != v.Current || len(e.Files) != 1 {
		t.Errorf("%+v", e)
	}
	r.survives("one", v.Current)
}

// The record is written, and nobody is told: it is what all find.
func TestALeaderThatDiesBehindTheRecord(t *testing.T) {
	r := newTrio(t, nil)
	kv, err := r.nodes[1].Node.Node.JetStream().KeyValue(t.Context(), "skua_versions")
	if err != nil {
		t.Fatal(err)
	}
	before := r.nodes[1].versions().Current
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	news, err := kv.Watch(ctx, "current")
	if err != nil {
		t.Fatal(err)
	}
	r.nodes[0].folder.put("agent.lua", counter("two"))
	if _, err := r.nodes[0].svc.Begin(reload.Order{Who: "anna"}, 0); err != nil {
		t.Fatal(err)
	}
	for first := true; ; { // what there is, the end of that, and the record of the change
		e := <-news.Updates()
		if e == nil || first {
			first = false
			continue
		}
		break
	}
	r.cluster.Nodes[0].Kill()
	clustertest.Eventually(t, "all run it", func() bool { return r.run("two") })
	clustertest.Eventually(t, "it is decided", func() bool {
		for _, runs := range r.nodes[2].versions().Nodes {
			if runs.Node != "n0" && runs.Change != nil {
				return false
			}
		}
		return true
	})
	after := r.nodes[1].versions().Current
	if after == before {
		t.Errorf("the cluster runs %s still", after)
	}
	r.survives("two", after)
}

// All but the leader are ready, and nobody has gone over: nothing has changed, and nothing stands in the way of the next change.
func TestALeaderThatDiesBetweenPrepareAndApply(t *testing.T) {
	ready, dead := make(chan struct{}, 3), make(chan struct{})
	r := newTrio(t, func(cfg *reload.Config) {
		name := cfg.Name
		cfg.Shared = func(context.Context, fs.FS, func(string) bool) (reload.Tables, error) {
			ready <- struct{}{}
			if name == "n0" {
				<-dead // it has not prepared its own part
			}
			return reload.Tables{}, nil
		}
	})
	before := r.nodes[1].versions().Current
	r.nodes[0].folder.put("agent.lua", counter("two"))
	if _, err := r.nodes[0].svc.Begin(reload.Order{Who: "anna"}, 0); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		<-ready
	}
	clustertest.Eventually(t, "the others have prepared", func() bool {
		n := 0
		for _, runs := range r.nodes[1].versions().Nodes {
			if runs.Change != nil && !runs.Change.Applied {
				n++
			}
		}
		return n == 2
	})
	r.cluster.Nodes[0].Kill()
	close(dead)
	clustertest.Eventually(t, "the others have dropped it", func() bool {
		for _, n := range r.nodes[1:] {
			if n.log.Count("whoever led a change is gone") == 0 {
				return false
			}
		}
		return true
	})
	if !r.run("one") {
		t.Error("not all run what they did")
	}
	r.survives("one", before)
}
