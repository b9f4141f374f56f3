package reload_test

import (
	"testing"
	"time"

	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

func long(cfg *reload.Config) { cfg.CanaryTime = time.Minute }

// A node may have died of the new version.
func TestACanaryIsTakenBackWhenANodeOfItsGroupIsGone(t *testing.T) {
	cluster, nodes := pair(t, long)
	c := newCrowd(4, nodes[0])
	away := newCrowd(4, nodes[1])
	nodes[0].folder.put("agent.lua", worker("two", ""))
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := away.run("two"); return run == 1 })
	away.stop()
	nodes[1].stop()
	cluster.Nodes[1].Leave()
	change, _ := nodes[0].svc.Await(t.Context())
	c.undone(t, &change, "node", "node n1 is gone, on which 1 VMs were of the group")
}

// When the node that leads ends, its canary does: on all nodes.
func TestACanaryEndsWithTheNodeThatLeadsIt(t *testing.T) {
	_, nodes := pair(t, long)
	c := newCrowd(4, nodes...)
	nodes[0].folder.put("agent.lua", worker("two", ""))
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := c.run("two"); return run == 2 })
	nodes[0].stop()
	if run, failed := c.run("one"); run != len(c.agents) || failed != 0 {
		t.Errorf("%d of %d agents are back, %d have failed", run, len(c.agents), failed)
	}
}

// A node that joins meanwhile runs the old version, and follows when all do.
func TestANodeThatJoinsDuringACanaryFollows(t *testing.T) {
	cluster := clustertest.Start(t, 2, clustertest.Config{})
	r := rig{secret: true, change: func(cfg *reload.Config) { cfg.CanaryTime = 12 * time.Second }} // in which a node joins
	first := r.run(t, cluster.Nodes[0], newFolder("agent.lua", worker("one", ""))).booted()
	cluster.Nodes[1].Leave()
	clustertest.Eventually(t, "the first node knows that the second has left", func() bool {
		m, _ := first.Members.Find("n1")
		return !m.State.Reachable()
	})
	c := newCrowd(4, first)
	first.folder.put("agent.lua", worker("two", ""))
	if _, err := first.svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := c.run("two"); return run == 1 })
	late := r.run(t, cluster.Run(1), newFolder("agent.lua", worker("one", ""))).booted()
	ref := late.launch("agent", false)
	if v := late.call(ref, "version"); v != "one" {
		t.Errorf("it begins with %s", v)
	}
	if change, err := first.svc.Await(t.Context()); err != nil || change.Canary.Outcome != "passed" {
		t.Fatalf("%v: %+v", err, change.Canary)
	}
	clustertest.Eventually(t, "the node that has joined follows", func() bool { return late.call(ref, "version") == "two" })
}

func TestAGroupIsReadAsOperatorsWriteIt(t *testing.T) {
	for text, want := range map[string]string{
		"5%": "5%", " 0.5%": "0.5%", "service shop": "service shop", "service=shop,bank": "service shop,bank", "player 7, 8,7": "player 7,8", "node=a": "node a",
	} {
		if g, err := reload.ParseGroup(text); err != nil || g.String() != want {
			t.Errorf("%q: %v %v, expected %s", text, g, err, want)
		}
	}
	for _, text := range []string{"", "5", "0%", "100%", "-1%", "NaN%", "service", "service ", "player 1,,2", "world a", "% 5"} {
		if g, err := reload.ParseGroup(text); err == nil {
			t.Errorf("%q is read as %v", text, g)
		}
	}
}

// A leader that dies can't take anything back: the others find out by the record of what is current.
func TestACanaryWhoseLeaderDiesIsTakenBackByTheOthers(t *testing.T) {
	cluster, nodes := pair(t, func(cfg *reload.Config) { cfg.CanaryTime, cfg.Timeout = time.Minute, 4*time.Second })
	c := newCrowd(4, nodes[1])
	nodes[0].folder.put("agent.lua", worker("two", ""))
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := c.run("two"); return run == 1 })
	cluster.Nodes[0].Kill()
	clustertest.Eventually(t, "all are back", func() bool { run, failed := c.run("one"); return run == len(c.agents) && failed == 0 })
	if v := nodes[1].call(nodes[1].launch("agent", false), "version"); v != "one" {
		t.Errorf("a new agent runs %s", v)
	}
}
