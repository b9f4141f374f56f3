package lua_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/reload"
)

// largeAgents are agents whose VM has so much in it that it is looked through in parts.
func largeAgents(answer string) *reload.Version {
	return reload.NewVersion(map[string]string{"main.lua": `
local skynet = require "skynet"
local all = {}
local M = {}
function M.start(self)
  self.list, self.n = {}, 0
  for i = 1, 4000 do self.list[i] = { at = function() return "` + answer + `" end } end
  all[#all + 1] = self
end
-- Moves functions about among the agents, to where the walk may have been already.
function M.move(self)
  local other = all[self.n % #all + 1]
  for i = 1, 200 do
    local j = (self.n * 211 + i) % #self.list + 1
    other.list[j].at, self.list[i].at = self.list[i].at, other.list[j].at
  end
  self.n = self.n + 1
  return self.list[1].at()
end
function M.check(self)
  local count = {}
  for _, item in ipairs(self.list) do
    local text = item.at()
    count[text] = (count[text] or 0) + 1
  end
  return count.one or 0, count.two or 0
end
function M.sleep(self) skynet.sleep(100000) end
return M`})
}

func launchShared(t *testing.T, n *node, agents int) []actor.Ref {
	t.Helper()
	l, _ := n.sys.Lookup(lua.LauncherName)
	refs := make([]actor.Ref, agents)
	for i := range refs {
		v, err := n.sys.Ask(context.Background(), l, lua.Launch{Script: "main", Shared: true})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = v.(actor.Ref)
	}
	return refs
}

func TestAgentsAnswerWhileTheirVMIsLookedThroughAndAllGetTheNewCode(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		one, two := largeAgents("one"), largeAgents("two")
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
		n.rt.Use(one)
		refs := launchShared(t, n, 8)
		up, err := reload.Prepare(engine, one, two, reload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		down, err := reload.Prepare(engine, two, one, reload.Options{Down: true})
		if err != nil {
			t.Fatal(err)
		}
		var wait sync.WaitGroup
		done := make(chan struct{})
		for _, ref := range refs {
			wait.Go(func() {
				for {
					select {
					case <-done:
						return
					default:
					}
					if l, err := n.call(ref, "move"); err != nil {
						t.Errorf("%v %v", l, err)
						return
					}
				}
			})
		}
		for i := range 6 {
			u, want := up, "0 4000"
			if i%2 == 1 {
				u, want = down, "4000 0"
			}
			v, err := n.sys.Ask(context.Background(), refs[i], lua.Upgrade{Update: u})
			if err != nil {
				t.Error(err)
				break
			}
			if r := v.(reload.Report); r.Functions < 32_000 || !isGopher(t) && r.Ahead < time.Millisecond {
				t.Errorf("%d functions, %v ahead", r.Functions, r.Ahead)
			}
			for _, ref := range refs {
				if got := results(t, n, ref, "check"); got != want {
					t.Errorf("reload %d: %s, expected %s", i+1, got, want)
				}
			}
		}
		close(done)
		wait.Wait()
	})
}

func TestAVMTakesOneUpgradeAtATime(t *testing.T) {
	engine := upgradeEngine(t)
	one, two := largeAgents("one"), largeAgents("two")
	n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
	n.rt.Use(one)
	refs := launchShared(t, n, 8)
	u, err := reload.Prepare(engine, one, two, reload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answers := make(chan error, len(refs))
	for _, ref := range refs {
		go func() { answers <- upgrade(n, ref, u) }()
	}
	went, busy := 0, 0
	for range refs {
		switch err := <-answers; {
		case err == nil:
			went++
		case errors.Is(err, lua.ErrUpgrading):
			busy++
		default:
			t.Error(err)
		}
	}
	if went == 0 || busy == 0 {
		t.Errorf("%d upgrades went through, %d were refused: that shows nothing", went, busy)
	}
	for _, ref := range refs {
		if got := results(t, n, ref, "check"); got != "0 4000" {
			t.Error(got)
		}
	}
}

// An agent that ends while it looks through the VM that it shares leaves no upgrade behind that others would wait for.
func TestAnUpgradeEndsWithTheAgentThatWasAskedForIt(t *testing.T) {
	engine := upgradeEngine(t)
	one, two := largeAgents("one"), largeAgents("two")
	n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
	n.rt.Use(one)
	refs := launchShared(t, n, 8)
	u, err := reload.Prepare(engine, one, two, reload.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer := make(chan error, 1)
	go func() { answer <- upgrade(n, refs[0], u) }()
	for err = nil; !errors.Is(err, lua.ErrUpgrading) && err == nil; {
		err = upgrade(n, refs[1], u) // until the first one is at it, or has been
		if err == nil {
			break
		}
	}
	n.sys.Kill(refs[0], errors.New("enough"))
	first := <-answer
	for err = lua.ErrUpgrading; errors.Is(err, lua.ErrUpgrading); {
		err = upgrade(n, refs[1], u)
	}
	if err != nil {
		t.Errorf("the next upgrade, behind %v: %v", first, err)
	}
	if got := results(t, n, refs[2], "check"); got != "0 4000" {
		t.Error(got)
	}
}

func TestAServiceTellsWhoStillRunsOldCodeAndWhere(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		engine := upgradeEngine(t)
		one, two := largeAgents("one"), largeAgents("two")
		n := newNodeWith(t, lua.Config{Engine: engine}, actor.Config{})
		n.rt.Use(one)
		refs := launchShared(t, n, 3)
		n.sys.Send(refs[1], lua.Command("sleep"))
		if _, err := n.call(refs[1], "check"); err != nil { // it sleeps by now
			t.Fatal(err)
		}
		u, err := reload.Prepare(engine, one, two, reload.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := upgrade(n, refs[0], u); err != nil {
			t.Fatal(err)
		}
		for _, ref := range refs {
			v, err := n.sys.Ask(context.Background(), ref, lua.AskRunning{})
			if err != nil {
				t.Fatal(err)
			}
			r := v.(lua.Running)
			if r.Version != two.ID() || r.Agents != 3 || r.Keeper || len(r.Behind) != 1 || len(r.Waiting) != 1 {
				t.Fatalf("%+v", r)
			}
			b := r.Behind[0]
			if b.Service != refs[1] || b.Version != one.ID() || !strings.Contains(b.Stack, "main.lua:28") {
				t.Errorf("%+v", b)
			}
		}
	})
}
