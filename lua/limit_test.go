package lua_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

const greedy = `
local skynet = require "skynet"
local M = {}
local kept = {}
local function grow(t, mib) for i = 1, mib * 100 do t[#t + 1] = ("x"):rep(10480) .. #t end end

function M.start(self) self.saved = "no" end
function M.hello() return "hello" end
function M.keep(_, mib) grow(kept, mib) return #kept end
function M.forget() kept = {} end
function M.burst(_, mib) grow({}, mib) end
function M.endless() local t = {} while true do grow(t, 1) end end
function M.caught(_, mib) return pcall(grow, {}, mib) end
function M.hoard(_, mib) pcall(grow, kept, mib) end
function M.stubborn() while true do pcall(grow, kept, 1) end end
local waits, asks = false, {}
function M.wait()
  waits = true
  for _, co in ipairs(asks) do skynet.wakeup(co) end
  skynet.wait("forever")
end
function M.somebody_waits()
  if not waits then
    asks[#asks + 1] = coroutine.running()
    skynet.wait(asks[#asks])
  end
  return true
end
function M.stop() skynet.send("witness", "lua", "saw", "stop") local t = {} for i = 1, 1000 do t[i] = { i } end skynet.send("witness", "lua", "saw", "saved " .. #t) end
return M`

const witness = `
local skynet = require "skynet"
require "skynet.manager"
local M, seen = {}, {}
function M.start() skynet.register("witness") end
function M.saw(_, what) seen[#seen + 1] = what end
function M.seen() return table.concat(seen, ", ") end
return M`

const testLimit = 16 << 20

// limited starts a node whose services may keep testLimit bytes.
func limited(t *testing.T) *node {
	t.Helper()
	n := newNodeWith(t, lua.Config{Engine: testEngine(t), MemoryLimit: testLimit, Budget: 2 * time.Second}, actor.Config{CallTimeout: 30 * time.Second},
		"greedy.lua", greedy, "witness.lua", witness, "main.lua", sharedMain, "agent.lua", greedy, "early.lua", `
local kept = {}
pcall(function() for i = 1, 10000000 do kept[i] = { i, i, i, i, i, i, i, i } end end)
local M = {}
function M.start() M.kept = kept end
return M`, "modest.lua", `
local skynet = require "skynet"
local M, ok, e = {}, pcall(require "skynet".memlimit, 17 * 1048576)
function M.refused() return ok, e end
return M`, "tight.lua", strings.Replace(greedy, "local M = {}", "skynet.memlimit(4 * 1024 * 1024) local M = {}", 1))
	n.start("witness")
	return n
}

func TestAHandlerThatAsksForTooMuchFailsAndItsServiceLivesOn(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := limited(t)
		a, other := n.start("greedy"), n.start("greedy")
		for range 3 {
			n.fails("not enough memory", a, "endless")
			n.fails("not enough memory", a, "burst", 100)
			n.want(`false "not enough memory"`, a, "caught", 100)
			n.want(`"hello"`, a, "hello")
		}
		n.want(`"hello"`, other, "hello")
		if strings.Contains(n.log.String(), "is stopped") {
			t.Error(n.log.String())
		}
	})
}

func TestAServiceThatKeepsTooMuchIsStoppedAlone(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for _, how := range []string{"keep", "hoard", "stubborn"} {
			n := limited(t)
			a, other := n.start("greedy"), n.start("greedy")
			waiting := make(chan error, 1)
			go func() {
				_, err := n.call(a, "wait")
				waiting <- err
			}()
			n.want(`true`, a, "somebody_waits") // the goroutine may not have begun yet
			ended := n.sys.Ended(a)
			_, _ = n.call(a, how, 100)
			_, _ = n.call(a, "burst", 2)
			<-ended
			if err := <-waiting; err == nil || !strings.Contains(err.Error(), "MiB of memory, 16 MiB are allowed") {
				t.Errorf("%s: who waited got %v", how, err)
			}
			n.want(`"hello"`, other, "hello")
			n.want(`"stop, saved 1000"`, witnessOf(t, n), "seen")
			if strings.Count(n.log.String(), "the service is stopped: it keeps too much memory") != 1 {
				t.Errorf("%s: %s", how, n.log)
			}
		}
	})
}

func TestAServiceThatStartsWithTooMuchDoesNotStart(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := limited(t)
		if _, err := n.launch("early"); err == nil {
			t.Error("it has started")
		}
		if !strings.Contains(n.log.String(), "the service is stopped: it keeps too much memory") {
			t.Error(n.log)
		}
	})
}

func TestAScriptCanTightenItsLimitOnly(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := limited(t)
		l, err := n.call(n.start("modest"), "refused")
		if err != nil || l.At(0).Bool() || !strings.Contains(l.At(1).String(), "more than lua.memory_limit allows, which is 16777216") {
			t.Error(l, err)
		}
		tight := n.start("tight")
		n.fails("not enough memory", tight, "burst", 12)
		n.want(`"hello"`, tight, "hello")
	})
}

func TestMemoryIsInTheLogWheneverItHasDoubled(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: time.Minute}, actor.Config{CallTimeout: time.Minute}, "greedy.lua", greedy)
		a := n.start("greedy")
		count := func() int { return strings.Count(n.log.String(), "the service uses much memory") }
		for i, want := range []int{0, 1, 1, 2, 2, 2, 3, 3} { // at 20 MiB, 40, 60 and so on
			if _, err := n.call(a, "keep", 20); err != nil {
				t.Fatal(err)
			}
			for range 80 {
				_, _ = n.call(a, "hello")
			}
			if got := count(); got != want {
				t.Errorf("%d MiB: %d warnings, want %d\n%s", (i+1)*20, got, want, n.log)
			}
		}
		for range 20 {
			if _, err := n.call(a, "burst", 10); err != nil {
				t.Fatal(err)
			}
		}
		if count() != 3 {
			t.Errorf("garbage is warned of: %s", n.log)
		}
	})
}

func TestAgentsOfAVMThatKeepsTooMuchAreStoppedTogether(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := limited(t)
		main := n.start("main")
		spawn := func(shard any) actor.Ref {
			l, err := n.call(main, "spawn", shard, "x")
			if err != nil {
				t.Fatal(err)
			}
			id, _ := l.At(0).Int()
			return n.sys.RefOf(uint64(id))
		}
		ann, bob, other := spawn("a"), spawn("a"), spawn("b")
		endedA, endedB := n.sys.Ended(ann), n.sys.Ended(bob)
		_, _ = n.call(ann, "keep", 100)
		<-endedA
		<-endedB
		n.want(`"hello"`, other, "hello")
		n.want(`"hello"`, spawn("a"), "hello") // in a VM of its own
		n.want(fmt.Sprintf("%q", "stop, saved 1000, stop, saved 1000"), witnessOf(t, n), "seen")
	})
}

func witnessOf(t *testing.T, n *node) actor.Ref {
	t.Helper()
	ref, ok := n.sys.Lookup("witness")
	if !ok {
		t.Fatal("no witness")
	}
	return ref
}

func TestCollectingGarbageIsPaidFor(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: time.Second}, actor.Config{CallTimeout: 30 * time.Second}, "main.lua", `
local M, t = {}, {}
function M.fill() for i = 1, 20000 do t[i] = { i } end end
function M.run() while true do collectgarbage() end end
return M`)
		a := n.start("main")
		n.want("", a, "fill")
		n.fails("CPU budget exceeded", a, "run")
	})
}
