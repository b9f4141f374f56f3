package lua_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

const sharedAgent = `
local skynet = require "skynet"
local loaded = 0
loaded = loaded + 1
local M = {}

function M.start(self, name)
  if name == "bad" then error("no such player") end
  self.name, self.n = name, 0
end

function M.add(self, n) self.n = self.n + n return self.n end
function M.whoami(self) return self.name, skynet.self() end
function M.loaded() return loaded end
function M.fail(self) error("broken: " .. self.name) end
function M.nap(self, cs) skynet.sleep(cs) return self.name end
function M.ask(self, other) return skynet.call(other, "lua", "whoami") end
function M.later(self, cs) skynet.timeout(cs, function() self.n = self.n + 100 end) end
function M.value(self) return self.n end
function M.exit() skynet.exit() end
function M.spin() while true do end end
function M.wait() skynet.wait("forever") end
return M`

const sharedMain = `
local skynet = require "skynet"
local M = {}
function M.spawn(_, shard, name) return skynet.newservice({ "agent", shard = shard }, name) end
return M`

// seats starts a node with agents of one script that share VMs, and gives how to start one.
func seats(t *testing.T, perVM int) (*node, func(shard any, name string) actor.Ref) {
	t.Helper()
	n := newNodeWith(t, lua.Config{Engine: testEngine(t), AgentsPerVM: perVM, Budget: time.Second}, actor.Config{CallTimeout: 20 * time.Second},
		"main.lua", sharedMain, "agent.lua", sharedAgent, "classic.lua", `local skynet = require "skynet" skynet.start(function() end)`)
	main := n.start("main")
	return n, func(shard any, name string) actor.Ref {
		t.Helper()
		l, err := n.call(main, "spawn", shard, name)
		if err != nil {
			t.Fatal(err)
		}
		id, _ := l.At(0).Int()
		return n.sys.RefOf(uint64(id))
	}
}

func TestAgentsThatShareAVMLeaveEachOtherAlone(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 0)
		ann, bob := spawn(true, "ann"), spawn(true, "bob")
		if ann == bob {
			t.Fatal("two agents have one address")
		}
		n.want("1", ann, "add", 1)
		n.want("5", bob, "add", 5)
		n.want("2", ann, "add", 1)
		n.want("1", bob, "loaded") // the script has run once
		n.want(fmt.Sprintf(`"bob" %d`, bob.ID()), ann, "ask", int64(bob.ID()))
		n.fails("broken: ann", ann, "fail")
		n.fails("CPU budget exceeded", bob, "spin")
		n.want("5", bob, "value")
		n.want("2", ann, "value")

		slept := n.sys.Ended(ann)
		var asleep sync.WaitGroup
		asleep.Go(func() { n.want(`"bob"`, bob, "nap", 20) })
		if _, err := n.call(ann, "exit"); err == nil {
			t.Error("the agent answered behind skynet.exit")
		}
		<-slept
		n.want("5", bob, "value")
		asleep.Wait()
		carl := spawn(true, "carl")
		n.want("0", carl, "value")
	})
}

func TestAnAgentsTimersAreItsOwn(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 0)
		ann, bob := spawn("x", "ann"), spawn("x", "bob")
		n.want("", ann, "later", 1)
		n.eventually(func() bool {
			l, err := n.call(ann, "value")
			v, _ := l.At(0).Int()
			return err == nil && v == 100
		})
		n.want("0", bob, "value")
	})
}

func TestAgentsFillVMsOneByOne(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 2)
		before := n.sys.Stats().Actors
		for i := range 5 {
			spawn(true, fmt.Sprint(i))
		}
		if made := n.sys.Stats().Actors - before; made != 5+3 {
			t.Errorf("5 agents, 2 a VM, made %d actors, want 5 and 3 keepers", made)
		}
		spawn("named", "a")
		spawn("named", "b")
		spawn("named", "c")
		if made := n.sys.Stats().Actors - before; made != 5+3+3+1 {
			t.Errorf("3 more in a named VM make %d actors", made)
		}
	})
}

func TestAVMEndsWithItsLastAgent(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 0)
		before := n.sys.Stats().Actors
		a, b := spawn(true, "a"), spawn(true, "b")
		for _, ref := range []actor.Ref{a, b} {
			_, _ = n.call(ref, "exit")
			<-n.sys.Ended(ref)
		}
		n.eventually(func() bool { return n.sys.Stats().Actors == before })
		n.want("0", spawn(true, "c"), "value")
	})
}

func TestAnAgentThatCannotStartTellsWhy(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 0)
		good := spawn(true, "good")
		main := n.start("main")
		n.fails("no such player", main, "spawn", true, "bad")
		n.want("0", good, "value")
	})
}

func TestAScriptOfSkynetsStyleCannotShare(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t)}, actor.Config{CallTimeout: 20 * time.Second},
			"main.lua", `local skynet = require "skynet"
local M = {}
function M.spawn(_, name, shard) return skynet.newservice({ name, shard = shard }) end
return M`, "classic.lua", `local skynet = require "skynet" skynet.start(function() end)`)
		main := n.start("main")
		n.fails("returns a table of handlers", main, "spawn", "classic", true)
		n.fails("no script", main, "spawn", "missing", true)
		n.fails("shard: true, a name or a number is expected", main, "spawn", "classic", map[string]any{})
	})
}

func TestManyAskAgentsOfOneVMAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n, spawn := seats(t, 8)
		const agents, rounds = 24, 40
		refs := make([]actor.Ref, agents)
		for i := range refs {
			refs[i] = spawn(true, fmt.Sprint("p", i))
		}
		var all sync.WaitGroup
		for i, ref := range refs {
			all.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				for k := range rounds {
					if _, err := n.sys.Ask(ctx, ref, lua.Command("add", 1)); err != nil {
						t.Error(err)
						return
					}
					if k%8 == 0 {
						if _, err := n.sys.Ask(ctx, ref, lua.Command("ask", int64(refs[(i+1)%agents].ID()))); err != nil {
							t.Error(err)
							return
						}
					}
				}
			})
		}
		all.Wait()
		for _, ref := range refs {
			n.want(fmt.Sprint(rounds), ref, "value")
		}
	})
}

// want asks an agent and compares its answer, as text.
func (n *node) want(want string, ref actor.Ref, cmd string, args ...any) {
	n.t.Helper()
	l, err := n.call(ref, cmd, args...)
	if err != nil {
		n.t.Errorf("%s: %v", cmd, err)
		return
	}
	texts := make([]string, 0, l.Len())
	for _, v := range l.All {
		texts = append(texts, v.String())
	}
	if got := strings.Join(texts, " "); got != want {
		n.t.Errorf("%s gives %s, want %s", cmd, got, want)
	}
}

// fails asks an agent, which answers with an error that has the text in it.
func (n *node) fails(text string, ref actor.Ref, cmd string, args ...any) {
	n.t.Helper()
	if _, err := n.call(ref, cmd, args...); err == nil || !strings.Contains(err.Error(), text) {
		n.t.Errorf("%s fails with %v, want %q", cmd, err, text)
	}
}

func (n *node) eventually(ok func() bool) {
	n.t.Helper()
	for deadline := time.Now().Add(40 * time.Second); time.Now().Before(deadline); {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond) //nolint:forbidigo // there is nothing to wait for
	}
	n.t.Error("it does not happen")
}
