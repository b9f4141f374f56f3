package lua_test

import (
	"context"
	"strings"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

const bankScript = `
local skynet = require "skynet"
local gold, rate = 10, 2
local helper
local function worth() return gold * rate end
do
  local gold = "another one"
  function response.other() return gold end
end
bonus = 1
function response.worth() return worth() end
function response.add(n) gold = gold + n + bonus return gold end
function accept.reset() gold = 0 end
function init() end`

const bankCaller = `
local snax = require "skynet.snax"
local M = {}
function M.start(self) self.bank = snax.newservice("bank") end
function M.ask(self, name, ...) return self.bank.req[name](...) end
function M.fix(self, text, ...) return pcall(snax.hotfix, self.bank, text, ...) end
return M`

func results(t *testing.T, n *node, ref actor.Ref, cmd string, args ...any) string {
	t.Helper()
	l, err := n.call(ref, cmd, args...)
	if err != nil {
		return "error: " + err.Error()
	}
	texts := make([]string, 0, l.Len())
	for _, v := range l.All {
		if s, ok := v.Str(); ok {
			texts = append(texts, s)
		} else {
			texts = append(texts, v.String())
		}
	}
	return strings.Join(texts, " ")
}

func TestAHotfixSharesTheVariablesOfTheServiceByName(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "bank.lua", bankScript, "main.lua", bankCaller)
		ref := n.start("main")
		ask := func(want string, cmd string, args ...any) {
			t.Helper()
			if got := results(t, n, ref, cmd, args...); got != want {
				t.Errorf("%s %v: got %q, expected %q", cmd, args, got, want)
			}
		}
		ask("20", "ask", "worth")
		ask("true 2 hello", "fix", `
local rate
local fee = 3
local function less(n) return n * rate - fee end
function response.worth() return less(100) end
function hotfix(word) local was = rate rate = 5 return was, word end`, "hello")
		ask("497", "ask", "worth")         // the new function, with the variable that hotfix has set
		ask("12", "ask", "add", 1)         // others are what they were, and their variable too
		ask("another one", "ask", "other") // a variable of that name in a block is another one
		ask("true", "fix", `function response.other() return bonus end`)
		ask("1", "ask", "other") // globals are the service's
	})
}

func TestAHotfixThatDoesNotFitChangesNothing(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "bank.lua", bankScript, "main.lua", bankCaller)
		ref := n.start("main")
		for text, want := range map[string]string{
			"function response.worth(": "patch:1:",
			"function response.worth() return 0 end function response.none() end":                "the patch has response.none, which the service has not",
			"local gold function response.worth() return gold end":                               "response.worth of the patch uses gold, of which the service has several",
			"function response.worth() return 0 end error('no')":                                 "patch:1: no",
			"local rate function response.worth() return 0 end function accept.reset(n) end x()": "patch:1:",
		} {
			got := results(t, n, ref, "fix", text)
			if !strings.HasPrefix(got, "false ") || !strings.Contains(got, want) {
				t.Errorf("%s: got %q, expected %q in it", text, got, want)
			}
			if got := results(t, n, ref, "ask", "worth"); got != "20" {
				t.Errorf("behind %s: %s", text, got)
			}
		}
		if got := results(t, n, ref, "fix", "function hotfix() error('late') end"); !strings.HasPrefix(got, "false ") || !strings.Contains(got, "late") {
			t.Error(got)
		}
	})
}

func inject(t *testing.T, n *node, ref actor.Ref, args ...any) (ok, output string) {
	t.Helper()
	v, err := n.sys.Ask(context.Background(), ref, lua.Message{Type: lua.TypeDebug, Args: value.Of(append([]any{"RUN"}, args...)...)})
	if err != nil {
		t.Fatal(err)
	}
	l := v.(value.List)
	output, _ = l.At(1).Str()
	return l.At(0).String(), output
}

func TestWhatIsInjectedSeesAndSetsTheVariablesOfTheService(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "table.lua", `
local skynet = require "skynet"
local players, total = { ann = 1 }, 5
local function count() total = total + 1 return total end
local M = { client = {} }
function M.get(self) return total, players.bob end
function M.add(self) return count() end
function M.client.hello(self) return players end
return M`, "plain.lua", `
local skynet = require "skynet"
local hits = 7
skynet.start(function()
  skynet.dispatch("lua", function(_, _, n) hits = hits + n skynet.retpack(hits) end)
end)`)
		ref := n.start("table")
		const text = `
local who = ...
_P.lua.players[who] = 3
_P.lua.total = _U.total + 10
local names = {}
for name in pairs(_P.client) do names[#names + 1] = name end
print(#names, names[1], _P.lua.players.ann)
print(pcall(function() _U.nobody = 1 end))`
		ok, output := inject(t, n, ref, text, "look.lua", "bob")
		lines := strings.Split(output, "\n")
		if ok != "true" || len(lines) != 2 || lines[0] != "1\tplayers\t1" || !strings.Contains(lines[1], "no function of the service has a variable nobody") {
			t.Errorf("%s %q", ok, output)
		}
		if got := results(t, n, ref, "get"); got != "15 3" {
			t.Error(got)
		}
		if ok, output := inject(t, n, ref, "print(1) error('no')", "look.lua"); ok != "false" || output != "1\nlook.lua:1: no" {
			t.Errorf("%s %q", ok, output)
		}
		if ok, output := inject(t, n, ref, "x ="); ok != "false" || !strings.Contains(output, "inject:1:") {
			t.Errorf("%s %q", ok, output)
		}
		plain := n.start("plain")
		if ok, output := inject(t, n, plain, "_P.lua.hits = 100 print(require('skynet').self() ~= nil)"); ok != "true" || output != "true" {
			t.Errorf("%s %q", ok, output)
		}
		v, err := n.sys.Ask(context.Background(), plain, lua.Message{Type: lua.TypeLua, Args: value.Of(1)})
		if err != nil || v.(value.List).At(0).String() != "101" {
			t.Errorf("%v %v", v, err)
		}
	})
}
