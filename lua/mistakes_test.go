package lua_test

import (
	"strings"
	"testing"
)

// What goes wrong in a handler is to be found by the place that its error begins with, on both engines; and nothing of the host is in the way.
func TestMistakesNameTheLineOfTheScript(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for body, want := range map[string]string{
			`for _ in ipairs(nil) do end`:                                    "main.lua:4: ",
			`table.sort({ 1, "x", 2 })`:                                      "main.lua:4: attempt to compare",
			`local function f(n) return 1 + f(n) end f(1)`:                   "main.lua:4: stack overflow",
			`assert(false)`:                                                  "main.lua:4: assertion failed!",
			`assert(nil, "a player is expected")`:                            "main.lua:4: a player is expected",
			`return require "absent"`:                                        `no script "absent"`,
			`local m = require "broken"`:                                     "broken.lua:2: ",
			`local m = require "unreadable"`:                                 "unreadable.lua:1: ",
			`require("skynet.queue")()(nil)`:                                 "main.lua:4: skynet.queue: a function is expected as argument 1, got nil",
			`skynet.request{ 1, "lua" }.select(10)`:                          "main.lua:4: skynet.request: select is called with a colon",
			`require("skynet.queue")()(function() skynet.sleep("x") end)`:    "main.lua:4: skynet.sleep: a time in 1/100 s is expected",
			`require("skynet.service").new("x", function() return body end)`: "",
		} {
			got := strings.TrimPrefix(eval(t, body, "broken.lua", "local function check(t)\nreturn t.x.y end\nreturn check({})", "unreadable.lua", "local = 1"), "error: ")
			if !strings.HasPrefix(got, want) || strings.Contains(got, "skua:") {
				t.Errorf("%s\n got %s\nwant %s", body, got, want)
			}
		}
		for body, want := range map[string]string{
			`local _, e = pcall(nil) return e`:                              "attempt to call a nil value",
			`local _, e = pcall(coroutine.yield) return e`:                  "attempt to yield from outside a coroutine",
			`local _, e = pcall(function() coroutine.yield() end) return e`: "main.lua:4: attempt to yield from outside a coroutine",
			`local _, e = pcall(function() table.sort({ 2, 1 }, function() skynet.sleep(1) end) end) return (e:gsub(":.*: ", ": ", 1):match("a wait is %w+"))`: "a wait is",
		} {
			if got := strings.Trim(eval(t, body), `"`); !strings.HasPrefix(got, want) {
				t.Errorf("%s\n got %s\nwant %s", body, got, want)
			}
		}
	})
}

// What a function of the library complains of was given to it by a script.
func TestErrorsOfTheLibraryHaveThePlaceOfTheScript(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		for body, want := range map[string]string{
			`require("skynet.service").query()`:     "main.lua:4: skynet.service: a name of at most 64 bytes is expected, got nil",
			`require("skynet.coroutine").resume(5)`: "main.lua:4: bad argument #1 to ",
		} {
			if got := eval(t, body); !strings.HasPrefix(got, "error: "+want) {
				t.Errorf("%s\n got %s\nwant %s", body, got, want)
			}
		}
	})
}

// A stack has the functions of scripts, by where they begin if nothing names them, those of a module whose top-level code failed too, and none of the host's.
func TestStacksAreOfScriptsOnly(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local M = {}
function M.fails() local x; return x.y end
function M.requires() local m = require "broken" return m end
return M`, "broken.lua", `
local function check(t) return t.x.y + 1 end
local x = check({})
return x`, "silent.lua", `local M = {}`)
		ref := n.start("main")
		for _, command := range []string{"fails", "requires"} {
			_, _ = n.call(ref, command)
		}
		log := n.log.String()
		for _, want := range []string{"main.lua:3: in function <main.lua:3>", "broken.lua:2: in ", "broken.lua:3: in ", "main.lua:4: in function <main.lua:4>"} {
			if !strings.Contains(log, want) {
				t.Errorf("%q is not in the log: %s", want, log)
			}
		}
		if strings.Contains(log, "skua:") || strings.Contains(log, "require:") {
			t.Errorf("the host's own functions are in the log: %s", log)
		}
		if _, err := n.launch("silent"); err == nil || !strings.Contains(err.Error(), `is "return M" missing at its end?`) {
			t.Errorf("a script that returns nothing: %v", err)
		}
	})
}

func TestAChainOfCallsThatGoesRoundIsToldOnce(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local M = {}
function M.round(self, other) return skynet.call(other, "lua", "round", skynet.self()) .. "" end
function M.ask(self, other) return select(2, pcall(M.round, self, other)).traceback end
return M`)
		one, two := n.start("main"), n.start("main")
		l, err := n.call(one, "ask", int64(two.ID()))
		if err != nil {
			t.Fatal(err)
		}
		stack := l.At(0).String()
		if told := strings.Count(stack, "called by main"); told == 0 || told > 5 || !strings.Contains(stack, "more calls from there)") {
			t.Errorf("the chain is told %d times: %.3000s", told, stack)
		}
	})
}
