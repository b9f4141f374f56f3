package lua_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
)

// Each handler of this script tries to take the service or the node with it; hello tells whether the service is still there.
const hostile = `
local skynet = require "skynet"
local M = {}
function M.hello() return "hello" end
function M.caught() while true do pcall(function() while true do end end) end end
function M.handled() while true do xpcall(function() while true do end end, function() while true do end end) end end
function M.closed() while true do local c <close> = setmetatable({}, { __close = function() while true do end end }) end end
function M.wrapped() while true do pcall(coroutine.wrap(function() while true do end end)) end end
function M.rep() return #string.rep("x", 10000000000) end
function M.rep2() return #("x"):rep(1 << 62, "yy") end
function M.deep() local function f(n) return 1 + f(n + 1) end return f(1) end
function M.deeper() local t = setmetatable({}, {}) getmetatable(t).__index = function(t, k) return t[k .. "x"] end return t.x end
function M.pattern() return (("a"):rep(30)):find((("a?"):rep(30)) .. ("a"):rep(30)) end
function M.nest() return (("("):rep(100000)):find(("("):rep(100000)) end
function M.format() return string.format("%1000000000d", 1) end
function M.none() error(nil) end
function M.silent() error(setmetatable({}, { __tostring = function() error("no text") end })) end
function M.endless() error(setmetatable({}, { __tostring = function() while true do end end })) end
function M.loaded() return load("while true do end", "x", "t", {})() end
function M.self() local t = {} t.t = t error(t) end
function M.func() error({ f = print }) end
function M.storm() while true do skynet.fork(function() end) end end
function M.forks() local function f() skynet.fork(f) end f() return "forked" end
function M.address() skynet.call({}, "lua") end
function M.typename() skynet.call(skynet.self(), "no such type") end
function M.unsendable() skynet.call(skynet.self(), "lua", print) end
function M.results() return print end
function M.yields() coroutine.yield(1) end
function M.zero() return 1 // 0 end
return M`

func TestNothingThatAScriptDoesTakesItsServiceWithIt(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", without(t, hostile, "M.closed", "M.rep2", "M.zero"))
		ref := n.start("main")
		tests := []struct{ cmd, want string }{
			{"caught", "CPU budget exceeded"},
			{"handled", ""},
			{"closed", "CPU budget exceeded"},
			{"wrapped", ""},
			{"rep", "resulting string too large"},
			{"rep2", "resulting string too large"},
			{"deep", ""},
			{"deeper", ""},
			{"nest", ""},
			{"format", ""},
			{"none", "nil"},
			{"silent", "no text"},
			{"endless", "CPU budget exceeded"},
			{"loaded", "CPU budget exceeded"},
			{"self", "table"},
			{"func", "table"},
			{"storm", ""},
			{"address", "bad address"},
			{"typename", "unknown message type"},
			{"unsendable", "a function cannot be sent"},
			{"results", "a function cannot be sent"},
			{"yields", "outside a coroutine"},
			{"zero", "divide by zero"},
		}
		for _, tt := range tests {
			if isGopher(t) && slices.Contains([]string{"closed", "rep2", "zero"}, tt.cmd) {
				tt.want = "no handler" // the engine can't compile it
			}
			if _, err := n.call(ref, tt.cmd); err == nil || errors.Is(err, actor.ErrDeadline) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: got %v, want an error with %q", tt.cmd, err, tt.want)
			}
			if got, err := n.call(ref, "hello"); err != nil || got.At(0).String() != `"hello"` {
				t.Fatalf("after %s: %v %v", tt.cmd, got, err)
			}
		}
	})
}

func TestFunctionsThatForkOnAndOnLetMessagesThrough(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", without(t, hostile, "M.closed", "M.rep2", "M.zero"))
		ref := n.start("main")
		for range 3 {
			if got, err := n.call(ref, "forks"); err != nil || got.At(0).String() != `"forked"` {
				t.Fatalf("%v %v", got, err)
			}
		}
		n.sys.Stop(ref, nil)
	})
}

// A call where a wait is not possible fails at once; its answer must not be taken for that of the next call.
func TestAWaitThatCouldNotBeginEndsNoOther(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		got := eval(t, `
  local other = skynet.newservice("other")
  local ok, err = pcall(table.sort, { 3, 2, 1 }, function(x, y) return skynet.call(other, "lua", "slow", "wrong") end)
  local first = skynet.call(other, "lua", "slow", "right")
  local again = skynet.call(other, "lua", "slow", "right again")
  return tostring(ok) .. " " .. first .. " " .. again`,
			"other.lua", `
local skynet = require "skynet"
return { slow = function(_, x) skynet.sleep(1) return x end }`)
		if got != `"false right right again"` {
			t.Fatal(got)
		}
	})
}

func TestMessagesThatCameEarlyAreHandledInTheirOrder(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local M = { }
function M.start(self) self.seen = {} skynet.sleep(5) end
function M.add(self, i) self.seen[#self.seen + 1] = i end
function M.seen(self) return table.concat(self.seen, " ") end
return M`)
		rt := n.rt.Spec("main", lua.Command("x").Args)
		ref, err := n.sys.Spawn(rt)
		if err != nil {
			t.Fatal(err)
		}
		var want []string
		for i := range 3000 {
			n.sys.Send(ref, lua.Command("add", i))
			want = append(want, fmt.Sprint(i))
			if i%100 == 0 {
				time.Sleep(time.Millisecond) //nolint:forbidigo // some come before the service is ready, some while it becomes so, some after
			}
		}
		got, err := n.call(ref, "seen")
		if err != nil || got.At(0).String() != `"`+strings.Join(want, " ")+`"` {
			t.Fatalf("out of order: %v %.200v", err, got.At(0))
		}
	})
}

func TestMessagesToAServiceThatDidNotStartHearWhy(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
return { start = function() skynet.sleep(2) error("no floor") end }`)
		ref, err := n.sys.Spawn(n.rt.Spec("main", lua.Command("x").Args))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.call(ref, "hello"); err == nil || !strings.Contains(err.Error(), "no floor") {
			t.Fatal(err)
		}
	})
}

func TestAThousandServicesEndWithNothingLeft(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local M = {}
function M.start(self) skynet.fork(function() skynet.sleep(100000) end) skynet.fork(function() skynet.wait() end) end
return M`)
		before := n.sys.Stats().Actors
		for range 1000 {
			n.sys.Stop(n.start("main"), nil)
		}
		deadline, tick := time.After(20*time.Second), time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for n.sys.Stats().Actors != before {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatalf("%d actors are left", n.sys.Stats().Actors-before)
			}
		}
	})
}

func TestAVarargFunctionMayEndWithACall(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		if got := eval(t, `
  local function pass(x) return x end
  local function tail(x, ...) return pass(x) end
  return tail("first", 2, 3, 4)`); got != `"first"` {
			t.Fatal(got)
		}
	})
}

// Each of these is one instruction, or one call, that goes over a string of a million bytes, or over as many values, again and again.
const lengthy = `
local M = {}
local text = ("0"):rep(1000000) .. "1"
local a, b = text .. "a", text .. "b"
function M.hello() return "hello" end
function M.tonumber() while true do local _ = tonumber(text) end end
function M.base() while true do local _ = tonumber(text, 36) end end
function M.hexadecimal() local s = "0x" .. text .. ".8p1" while true do local _ = tonumber(s) end end
function M.sum() while true do local _ = text + 1 end end
function M.negation() while true do local _ = -text end end
function M.level() while true do pcall(error, "x", text) end end
function M.equality() local x = a .. "" .. a local y = a .. "" .. b while true do local _ = x == y end end
function M.order() while true do local _ = a < b end end
function M.order2() while true do local _ = a >= b end end
function M.key() local t = {} while true do t[a] = 1 end end
function M.get() local t = { x = 1 } while true do local _ = t[a] end end
function M.concat() while true do local _ = a .. 1 end end
function M.format() while true do local _ = ("%.9s"):format(text) end end
function M.identity() while true do local _ = ("%p"):format(text) end end
function M.load() local s = ("local x = 1 "):rep(20000) while true do load(s) end end
function M.wide() local function f(...) return f(1, ...) end f() end
function M.callable() local t = setmetatable({}, {}) getmetatable(t).__call = t while true do pcall(t) end end
return M`

func TestWorkOnLongStringsIsPaidFor(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		script := lengthy
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: 200 * time.Millisecond}, actor.Config{CallTimeout: 10 * time.Second}, "main.lua", script)
		ref := n.start("main")
		for line := range strings.Lines(script) {
			if name, ok := strings.CutPrefix(line, "function M."); ok && !strings.HasPrefix(name, "hello") {
				name, _, _ = strings.Cut(name, "(")
				n.fails("CPU budget exceeded", ref, name)
			}
		}
		n.want(`"hello"`, ref, "hello")
	})
}

// The compiler of gopher takes time in proportion to the square of the constants, and a hundred bytes for each of a source's.
func TestASourceThatIsTooMuchForItsServiceIsAnError(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: time.Second, MemoryLimit: 64 << 20}, actor.Config{CallTimeout: 20 * time.Second}, "main.lua", `
local M = {}
function M.long() return #(load(("a=1 "):rep(10000000)) and "loaded") end
function M.constants()
  local t = {}
  for i = 1, 60000 do t[i] = "x=" .. i end
  local f, e = load(table.concat(t, " "))
  return f and "loaded" or e
end
function M.gotos()
  local t = {}
  for i = 1, 30000 do t[i] = "goto a" .. i .. " ::a" .. i .. "::" end
  local f, e = load(table.concat(t, " "))
  return f and "loaded" or e
end
function M.hello() return "hello" end
return M`)
		ref := n.start("main")
		n.fails("not enough memory", ref, "long")
		for _, cmd := range []string{"constants", "gotos"} {
			got, err := n.call(ref, cmd)
			if isGopher(t) && (err != nil || !strings.Contains(got.At(0).String(), "more than 16384")) {
				t.Errorf("%s: %v %v", cmd, got, err)
			}
			if !isGopher(t) && (err != nil || got.At(0).String() != `"loaded"`) {
				t.Errorf("%s: %v %v", cmd, got, err)
			}
		}
		n.want(`"hello"`, ref, "hello")
	})
}

// On gopher a step of this takes some 100 microseconds, and a hundred times as long as usual pass between two looks at the clock.
func TestAHandlerOfVeryLongStepsIsStoppedInTime(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: 500 * time.Millisecond}, actor.Config{CallTimeout: 8 * time.Second}, "main.lua", `
local M, text = {}, "0." .. ("1"):rep(60000)
function M.sum() while true do local _ = text + 1 end end
return M`)
		n.fails("CPU budget exceeded", n.start("main"), "sum")
	})
}

// Whoever raises a text of 32 MiB has it copied into the log, and to all who wait for one another.
func TestTheTextOfAnErrorIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local M = {}
function M.text() error(("x"):rep(32 * 1048576)) end
function M.object() error(setmetatable({}, { __tostring = function() return ("y"):rep(32 * 1048576) end })) end
return M`)
		ref := n.start("main")
		for cmd, want := range map[string]string{"text": "xxx...", "object": "yyy..."} {
			if _, err := n.call(ref, cmd); err == nil || len(err.Error()) > 1<<20 || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %.100v", cmd, err)
			}
		}
		if size := len(n.log.String()); size > 1<<20 {
			t.Errorf("the log has %d bytes", size)
		}
	})
}

// Sixty tables that contain one another twice are, written out, 2^60.
func TestTablesThatAreOthersManyTimesAreNotSent(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local M, t = {}, {}
for i = 1, 60 do t = { t, t } end
function M.pack() skynet.pack(t) end
function M.send() skynet.send(skynet.self(), "lua", "pack", t) end
function M.fields() local t = {} for i = 1, 60 do t = { a = t, b = t } end return t end
function M.raise() error(t) end
return M`)
		ref := n.start("main")
		for _, cmd := range []string{"pack", "send", "fields"} {
			n.fails("more than 4194304 values", ref, cmd)
		}
		n.fails("table", ref, "raise")
	})
}

// Message handlers that fail in message handlers, and calls of a queue within calls of it, make each error that of a hundred thousand others.
func TestErrorsWithinErrorsAreStoppedInTime(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: 200 * time.Millisecond}, actor.Config{CallTimeout: 10 * time.Second}, "main.lua", `
local queue = require "skynet.queue"
local M = {}
function M.handlers() local function f() xpcall(f, f) return xpcall(f, f) end f() end
function M.queue() local q = queue() local function f() q(f) q(f) end f() end
function M.protobuf()
  local pb, i = require "protobuf", 0
  while true do i = i + 1 pb.load('syntax = "proto3"; message M' .. i .. ' { int64 id = 1; }') end
end
function M.hello() return "hello" end
return M`)
		ref := n.start("main")
		n.fails("CPU budget exceeded", ref, "handlers")
		n.fails("CPU budget exceeded", ref, "protobuf")
		if _, err := n.call(ref, "queue"); err == nil || !strings.Contains(err.Error(), "CPU budget exceeded") && !strings.Contains(err.Error(), "stack overflow") {
			t.Error(err)
		}
		n.want(`"hello"`, ref, "hello")
	})
}

// Whoever catches the error of a time that is over has some to tidy up: else a queue would be locked for ever.
func TestAHandlerWhoseTimeIsOverGivesItsLocksBack(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Engine: testEngine(t), Budget: 200 * time.Millisecond}, actor.Config{CallTimeout: 5 * time.Second}, "main.lua", `
local q = require "skynet.queue"()
local M, held = {}, false
function M.endless() q(function() while true do end end) end
function M.hello() return q(function() return "hello" end) end
function M.own()
  held = true
  local ok, e = pcall(function() while true do end end)
  held = false
  error(e, 0)
end
function M.held() return held end
function M.catches() while true do pcall(function() while true do end end) end end
return M`)
		ref := n.start("main")
		n.fails("main.lua:4: CPU budget exceeded", ref, "endless")
		n.want(`"hello"`, ref, "hello")
		n.fails("CPU budget exceeded", ref, "own")
		n.want("false", ref, "held")
		n.fails("CPU budget exceeded", ref, "catches")
	})
}
