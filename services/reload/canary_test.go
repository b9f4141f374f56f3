package reload_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/services/reload"
)

// worker is a script whose handler does something, and tells its version.
func worker(version, does string) string {
	return "local skynet = require 'skynet'\nlocal M = {}\nfunction M.work() " + does + " return '" + version + "' end\nfunction M.version() return '" + version + "' end\nreturn M\n"
}

// crowd are agents that somebody asks for work all the time.
type crowd struct {
	agents []*busy
	stop   func()
}

type busy struct {
	n                *node
	ref              actor.Ref
	answered, failed atomic.Int64
}

func newCrowd(each int, nodes ...*node) *crowd {
	c := &crowd{}
	ctx, end := context.WithCancel(context.Background())
	var all sync.WaitGroup
	c.stop = sync.OnceFunc(func() {
		end()
		all.Wait()
	})
	for _, n := range nodes {
		for range each {
			b := &busy{n: n, ref: n.launch("agent", false)}
			c.agents = append(c.agents, b)
			all.Go(func() {
				pace := time.NewTicker(2 * time.Millisecond)
				defer pace.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-pace.C:
					}
					if _, err := n.try(b.ref, "work"); err != nil {
						b.failed.Add(1)
					} else {
						b.answered.Add(1)
					}
				}
			})
		}
		n.t.Cleanup(c.stop)
	}
	return c
}

// run counts the agents of a version, and those whose requests have failed.
func (c *crowd) run(version string) (run, failed int) {
	for _, b := range c.agents {
		if b.n.call(b.ref, "version") == version {
			run++
		}
		if b.failed.Load() > 0 {
			failed++
		}
	}
	return run, failed
}

// quick is a canary that is soon decided, and long enough for the messages that this takes on a busy machine.
func quick(cfg *reload.Config) { cfg.CanaryTime = 2 * time.Second }

func pair(t *testing.T, change func(cfg *reload.Config)) (c *clustertest.Cluster, nodes []*node) {
	t.Helper()
	c = clustertest.Start(t, 2, clustertest.Config{})
	return c, rig{change: change}.nodes(t, c, "agent.lua", worker("one", ""), "idle.lua", worker("one", ""))
}

func (n *node) canary(group string, files ...string) reload.Change {
	n.t.Helper()
	n.folder.put(files...)
	return n.do(reload.Order{Who: "anna", Canary: group})
}

// undone checks that a canary was taken back, and that all run what they did before.
func (c *crowd) undone(t *testing.T, change *reload.Change, outcome, why string) {
	t.Helper()
	if change.State != reload.Undone || change.Canary == nil || change.Canary.Outcome != outcome || !strings.Contains(change.Error, why) {
		t.Fatalf("%s: %s; %+v", change.State, change.Error, change.Canary)
	}
	if run, _ := c.run("one"); run != len(c.agents) {
		t.Errorf("%d of %d agents are back", run, len(c.agents))
	}
	for _, b := range c.agents {
		if v := b.n.call(b.n.launch("agent", false), "version"); v != "one" {
			t.Errorf("a new agent runs %s", v)
		}
		runs := b.n.versions().Nodes[0]
		for _, old := range runs.Old {
			if old.Version != change.From { // others have handlers that end with what they have begun with
				t.Errorf("%+v", old)
			}
		}
		if runs.Version != change.From || runs.Canary != nil {
			t.Errorf("%+v", runs)
		}
	}
}

func TestAGoodCanaryGoesOnToAll(t *testing.T) {
	_, nodes := pair(t, quick)
	c := newCrowd(10, nodes...)
	change := nodes[0].canary("20%", "agent.lua", worker("two", ""))
	if change.State != reload.Done || change.Canary.Outcome != "passed" || change.Canary.VMs != 4 {
		t.Fatalf("%s: %s; %+v", change.State, change.Error, change.Canary)
	}
	if run, failed := c.run("two"); run != len(c.agents) || failed != 0 {
		t.Errorf("%d agents run it, %d have failed", run, failed)
	}
	h := change.Canary.Handlers
	if len(h) != 1 || h[0].Script != "agent" || h[0].New.Handled < 50 || h[0].Old.Handled <= h[0].New.Handled || h[0].New.Failed != 0 {
		t.Errorf("%+v", h)
	}
	v := nodes[1].versions()
	if e := v.History[0]; e.Canary != "20% for 2s" || e.Outcome != "done" || v.Current != change.To || v.Nodes[0].Canary != nil {
		t.Errorf("%+v", e)
	}
	if n := nodes[0].Metric("skua_reload_canaries_total"); n != 1 {
		t.Errorf("the metric is %v", n)
	}
}

func TestACanaryThatFailsIsTakenBackAndOnlyItsGroupHasFelt(t *testing.T) {
	_, nodes := pair(t, func(cfg *reload.Config) { cfg.CanaryTime = time.Minute })
	c := newCrowd(10, nodes...)
	change := nodes[0].canary("10%", "agent.lua", worker("two", "if true then error('broken') end"))
	c.stop()
	c.undone(t, &change, "errors", "handlers of agent fail")
	if _, failed := c.run("one"); failed == 0 || failed > change.Canary.VMs {
		t.Errorf("requests of %d agents have failed, and %d were of the group", failed, change.Canary.VMs)
	}
	if e := nodes[0].versions().History[0]; e.Outcome != "undone" || e.Error != change.Error {
		t.Errorf("%+v", e)
	}
}

func TestACanaryThatIsSlowIsTakenBack(t *testing.T) {
	_, nodes := pair(t, func(cfg *reload.Config) { cfg.CanaryTime = time.Minute })
	c := newCrowd(4, nodes...)
	change := nodes[1].canary("node n0", "agent.lua", worker("two", "skynet.sleep(40)"))
	c.undone(t, &change, "time", "handlers of agent are slow")
	if _, failed := c.run("one"); failed != 0 {
		t.Errorf("%d have failed", failed)
	}
}

func TestACanaryOfWhichNothingIsKnownIsTakenBack(t *testing.T) {
	_, nodes := pair(t, quick)
	c := &crowd{agents: []*busy{{n: nodes[0], ref: nodes[0].launch("agent", false)}, {n: nodes[0], ref: nodes[0].launch("agent", false)}}}
	change := nodes[1].canary("5%", "agent.lua", worker("two", ""))
	c.undone(t, &change, "few", "the group has handled 0 messages within 2s, expected at least 50")
	change = nodes[1].canary("service idle")
	c.undone(t, &change, "few", `nobody is in the group "service idle"`)
	change = nodes[1].canary("node nowhere")
	if change.State != reload.Undone || !strings.Contains(change.Error, `no node "nowhere"`) {
		t.Errorf("%s: %s", change.State, change.Error)
	}
}

// All of a script go over, and those that begin meanwhile; what they did before is what they are compared with. Others stay.
func TestACanaryOfAServiceTakesAllOfIt(t *testing.T) {
	_, nodes := pair(t, func(cfg *reload.Config) { cfg.CanaryTime = 3 * time.Second })
	c := newCrowd(3, nodes...)
	idle := nodes[0].launch("idle", false)
	nodes[0].folder.put("agent.lua", worker("two", ""), "idle.lua", worker("two", ""))
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "service=agent"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the agents have gone over", func() bool { run, _ := c.run("two"); return run == len(c.agents) })
	runs := nodes[1].versions()
	if change, _ := nodes[0].svc.Last(); change.Step == "canary" {
		if v := nodes[0].call(idle, "version"); v != "one" {
			t.Errorf("another service runs %s", v)
		}
		if v := nodes[1].call(nodes[1].launch("agent", false), "version"); v != "two" {
			t.Errorf("an agent that has begun since runs %s", v)
		}
		if runs.Nodes[0].Canary == nil || runs.Nodes[0].Canary.Group != "service agent" || runs.Current == change.To {
			t.Errorf("%+v", runs)
		}
	}
	change, err := nodes[0].svc.Await(t.Context())
	if err != nil || change.Canary.Handlers[0].Old.Handled < 50 {
		t.Fatalf("%v: %+v", err, change.Canary)
	}
	if v := nodes[0].call(idle, "version"); v != "two" {
		t.Errorf("in the end another service runs %s", v)
	}
}

// Players are looked for while the canary goes on, so that one who comes later is of the group, too.
func TestACanaryOfPlayersFollowsThem(t *testing.T) {
	var mu sync.Mutex
	var in []actor.Ref
	n := rig{change: func(cfg *reload.Config) {
		cfg.CanaryTime = time.Minute
		cfg.Players = func(_ context.Context, ids []string) ([]actor.Ref, error) {
			mu.Lock()
			defer mu.Unlock()
			if len(ids) != 2 || ids[1] != "8" {
				return nil, errors.New("others were asked for")
			}
			return in, nil
		}
	}}.alone(t, "agent.lua", worker("one", ""))
	first, late, other := n.launch("agent", false), n.launch("agent", false), n.launch("agent", false)
	in = []actor.Ref{first}
	n.folder.put("agent.lua", worker("two", ""))
	if _, err := n.svc.Begin(reload.Order{Who: "anna", Canary: "player 7, 8"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the first has gone over", func() bool { return n.call(first, "version") == "two" })
	mu.Lock()
	in = append(in, late)
	mu.Unlock()
	clustertest.Eventually(t, "who comes later has gone over", func() bool { return n.call(late, "version") == "two" })
	if v := n.call(other, "version"); v != "one" {
		t.Errorf("another one runs %s", v)
	}
	if c := n.do(reload.Order{Rollback: true, Who: "ben"}); c.State != reload.Done || c.Action != "rollback" || c.Canary.Outcome != "ended" || c.Canary.EndedBy != "ben" {
		t.Fatalf("%+v", c)
	}
	if v := n.call(late, "version"); v != "one" {
		t.Errorf("in the end it runs %s", v)
	}
}

// Whichever node is asked, a rollback ends the canary, and goes no further back.
func TestARollbackEndsACanary(t *testing.T) {
	_, nodes := pair(t, func(cfg *reload.Config) { cfg.CanaryTime = time.Minute })
	c := newCrowd(4, nodes...)
	nodes[0].folder.put("agent.lua", worker("two", ""))
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	clustertest.Eventually(t, "the group has gone over", func() bool { run, _ := c.run("two"); return run == 2 })
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "ben"}, 0); !errors.Is(err, reload.ErrBusy) || !strings.Contains(err.Error(), "skua rollback") {
		t.Errorf("another reload meanwhile: %v", err)
	}
	back := nodes[1].do(reload.Order{Rollback: true, Who: "ben"})
	change, _ := nodes[0].svc.Last()
	if back.State != reload.Done || back.From != change.To || back.To != change.From {
		t.Fatalf("the rollback: %s: %s; from %s to %s", back.State, back.Error, back.From, back.To)
	}
	c.undone(t, &change, "ended", "ben has ended it")
	if _, err := nodes[0].svc.Begin(reload.Order{Who: "anna", Canary: "25%"}, 0); err != nil {
		t.Fatal(err)
	}
	if back := nodes[0].do(reload.Order{Rollback: true, Who: "ben"}); back.State != reload.Done || back.To != change.From {
		t.Errorf("the node that leads: %+v", back)
	}
}
