package cluster_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/cluster/clustertest"
	"github.com/skua-go/skua/cluster/lease"
	"github.com/skua-go/skua/lua/luatest"
)

func TestAScriptCallsAServiceOfAnotherNode(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		b.gives(there, `sc.register("@shop") return 1`, "1")
		// The other side sees this service as a text that it can answer to.
		a.gives(here, `local from, x = sc.call("n1", "@shop", "echo", 9007199254740991) return from == cluster.address(), x`, "true 9007199254740991")
		a.gives(here, `return select(2, sc.call("n1", ".shop", "echo", "again"))`, `"again"`)
		a.gives(here, `local shop = sc.query("n1", "shop") return type(shop), select(2, skynet.call(shop, "lua", "echo", 1))`, `"string" 1`)
		a.gives(here, `return select(2, skynet.call(sc.proxy("n1@shop"), "lua", "echo", true))`, "true")
		if got := a.run(here, `sc.call("n1", "shop", "fail")`); !strings.Contains(got, "no luck") || !strings.Contains(got, "tool.lua") {
			t.Fatalf("the error of the other side: %s", got)
		}
		if got := a.run(here, `sc.call("n1", "nobody", "x")`); !strings.HasPrefix(got, "error: ") {
			t.Fatalf("nobody answers: %s", got)
		}
		if got := a.run(here, `sc.call("n9", "shop", "x")`); !strings.Contains(got, "n9") {
			t.Fatalf("no such node: %s", got)
		}
		a.gives(here, `sc.send("n1", "shop", "run", "got = 5") return 1`, "1")
		b.comes(there, `return got`, "5")
		a.gives(here, `local all = {} for _, m in ipairs(cluster.members()) do all[#all + 1] = m.name .. " " .. m.state end return table.concat(all, ", ")`, `"n0 alive, n1 alive"`)
	})
}

func TestAServiceWhoseFormerOneHasEndedIsFoundAgain(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		b.gives(there, `sc.register("shop") return 1`, "1")
		a.gives(here, `return select(2, sc.call("n1", "shop", "echo", 1))`, "1")
		b.System.Stop(there, nil)
		<-b.System.Ended(there)
		next := b.tool()
		b.gives(next, `sc.register("shop") return 1`, "1")
		a.gives(here, `return select(2, sc.call("n1", "shop", "echo", 2))`, "2")
	})
}

func TestScriptsFindServicesByNameOnAllNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		a.gives(here, `return cluster.any("world")`, "nil")
		a.gives(here, `return cluster.register("world")`, "true")
		b.gives(there, `return cluster.register("world", nil, 2)`, "true")
		a.comes(here, `return #cluster.query("world")`, "2")
		a.gives(here, `local q = cluster.query("world") return q[1].node, q[1].address == skynet.self(), q[2].node, q[2].weight`, `"n0" true "n1" 2`)
		a.gives(here, `return cluster.any("world", "key", "player/1") == cluster.any("world", "key", "player/1")`, "true")
		b.gives(there, `return cluster.unregister("world"), cluster.unregister("world")`, "true false")
		a.comes(here, `return #cluster.query("world")`, "1")
		a.System.Stop(here, nil)
		b.comes(there, `return #cluster.query("world")`, "0")
	})
}

func TestScriptsTakeLocksWithEpochs(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		a.gives(here, `l = cluster.lock("x") return l:held(), l.epoch > 0, cluster.holder("x").node`, `true true "n0"`)
		b.gives(there, `return cluster.try_lock("x")`, "nil")
		b.gives(there, `return cluster.lock("x", 0.05)`, "nil")
		b.gives(there, `skynet.fork(function() l = cluster.lock("x") end) return 1`, "1")
		a.gives(here, `return l:release(), l:release(), l:held()`, "true false false")
		b.comes(there, `return l and l:held()`, "true")
		// A script that ends holds nothing any more.
		b.System.Stop(there, nil)
		a.gives(here, `local former = l.epoch l = cluster.lock("x", 20) return l.epoch > former`, "true")
	})
}

// Who asks for a lock may have given up when it comes, and then nobody can give it back but the service.
func TestALockThatComesTooLateIsGivenBack(t *testing.T) {
	nodes := start(t, luatest.Engines(t)[0])
	a, b := nodes[0], nodes[1]
	there, ask := b.tool(), a.asker()
	b.gives(there, `l = cluster.lock("x") return l:held()`, "true")
	late := ask(5*time.Second, "lock", lease.Lock, "x")
	<-ask(time.Minute, "members") // so it waits for the lock
	a.turn.Lock()
	b.gives(there, `return l:release()`, "true")
	b.comes(there, `local h = cluster.holder("x") return h and h.node`, `"n0"`)
	if got := <-late; !errors.Is(got.Err, actor.ErrDeadline) {
		t.Errorf("got %v, %v", got.Value, got.Err)
	}
	a.turn.Unlock()
	b.comes(there, `return cluster.holder("x")`, "nil")
}

func TestWhoWaitsNoMoreForTheEndOfALockLeavesItsPlace(t *testing.T) {
	ask := start(t, luatest.Engines(t)[0])[0].asker()
	got := <-ask(time.Minute, "lock", lease.Lock, "x")
	lock, ok := got.Value.(value.List)
	if !ok {
		t.Fatalf("got %v, %v", got.Value, got.Err)
	}
	id, _ := lock.At(0).Int()
	for range 100 {
		if got := <-ask(time.Millisecond, "lost", id); !errors.Is(got.Err, actor.ErrDeadline) {
			t.Fatalf("got %v, %v", got.Value, got.Err)
		}
	}
}

func TestOneScriptLeads(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		campaign := `stop = cluster.campaign("boss", function(lock) epoch = lock.epoch end) return 1`
		a.gives(here, campaign, "1")
		a.comes(here, `return epoch ~= nil`, "true")
		b.gives(there, campaign, "1")
		b.comes(there, `return cluster.leader("boss").node`, `"n0"`)
		a.gives(here, `stop() return 1`, "1")
		b.comes(there, `return epoch ~= nil and cluster.leader("boss").node`, `"n1"`)
		b.gives(there, `stop() return 1`, "1")
		b.comes(there, `return cluster.leader("boss")`, "nil")
	})
}

func TestWhatIsToBeDoneOnceIsDoneByTheFirst(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		a.gives(here, `return cluster.once("daily 1"), cluster.once("daily 1")`, "true false")
		b.gives(there, `return cluster.once("daily 1"), cluster.once("daily 2", 0.05)`, "false true")
		a.comes(here, `return cluster.once("daily 2")`, "true")
	})
}

func TestScriptsPublishToAllNodes(t *testing.T) {
	onBoth(t, func(t *testing.T, nodes []*place) {
		a, b := nodes[0], nodes[1]
		here, there := a.tool(), b.tool()
		subscribe := `got = {} cluster.subscribe("news", function(source, ...) got[#got + 1] = table.concat({ tostring(source), ... }, " ") end) return 1`
		a.gives(here, subscribe, "1")
		b.gives(there, subscribe, "1")
		clustertest.Eventually(t, "both nodes are known to have subscribers", func() bool { return a.run(here, `return #cluster.query("topic:news")`) == "2" })
		a.gives(here, `for i = 1, 100 do cluster.publish("news", "item", i) end return 1`, "1")
		for _, who := range []struct {
			p    *place
			from string
		}{{a, `tostring(skynet.self())`}, {b, `sc.from`}} {
			ref := here
			if who.p == b {
				ref = there
				b.gives(there, `sc.from = `+a.run(here, `return cluster.address()`)+` return 1`, "1")
			}
			who.p.comes(ref, `return #got`, "100")
			who.p.gives(ref, `for i = 1, 100 do if got[i] ~= `+who.from+` .. " item " .. i then return got[i] end end return "in order"`, `"in order"`)
		}
		b.gives(there, `cluster.unsubscribe("news") return 1`, "1")
		a.comes(here, `return #cluster.query("topic:news")`, "1")
	})
}
