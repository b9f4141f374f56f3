package lua_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
)

// What a script can fill has an end, and an error that says so.
func TestWhatAScriptCanFillIsBounded(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNodeWith(t, lua.Config{Budget: time.Minute, Engine: testEngine(t)}, actor.Config{CallTimeout: time.Minute}, "main.lua", `
local skynet = require "skynet"
local M = {}
function M.forks() while true do skynet.fork(function() end) end end
function M.variables() for i = 1, 1e6 do skynet.setenv("v" .. i, "x") end end
function M.tags() skynet.tracelog(("x"):rep(1000), "y") end
function M.names() skynet.register_protocol { name = ("x"):rep(1000), id = 100 } end
function M.hello() return "hello" end
return M`)
		ref := n.start("main")
		for cmd, want := range map[string]string{
			"forks":     "100000 functions wait to run already",
			"variables": "10000 variables are set already",
			"tags":      "a tag of at most 256 bytes",
			"names":     "a string of at most 64 bytes",
		} {
			if isGopher(t) && cmd == "forks" {
				continue // it takes ten seconds to make so many coroutines with this engine
			}
			if _, err := n.call(ref, cmd); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", cmd, err, want)
			}
			if got, err := n.call(ref, "hello"); err != nil || got.At(0).String() != `"hello"` {
				t.Fatalf("after %s: %v %v", cmd, got, err)
			}
		}
	})
}

func TestGoServicesTalkToProtocolsThatPackByThemselves(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
skynet.register_protocol { name = "bytes", id = 40, pack = function(s) return s end, unpack = skynet.tostring }
skynet.start(function()
  skynet.dispatch("bytes", function(_, _, s) skynet.ret(s .. s) end)
  skynet.dispatch("lua", function(_, _, address) skynet.retpack(skynet.call(address, "bytes", "to go")) end)
end)`)
		ref := n.start("main")
		got, err := n.sys.Ask(context.Background(), ref, lua.Message{Type: 40, Raw: true, Args: value.Of("ab")})
		if err != nil || got != lua.Bytes("abab") {
			t.Fatalf("%v %v", got, err)
		}
		other, err := n.sys.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) {
				m := msg.(lua.Message)
				text, _ := m.Args.At(0).Str()
				if !m.Raw || m.Type != 40 {
					t.Errorf("got %+v", m)
				}
				c.Reply(lua.Bytes(strings.ToUpper(text)), nil)
			})
		}})
		if err != nil {
			t.Fatal(err)
		}
		v, err := n.sys.Ask(context.Background(), ref, lua.Message{Type: lua.TypeLua, Args: value.Of(int64(other.ID()))})
		if err != nil || v.(value.List).At(0).String() != `"TO GO"` {
			t.Fatalf("%v %v", v, err)
		}
	})
}

// A handler that somebody else's handler has woken goes on for its own asker.
func TestAWokenHandlerGoesOnAsPartOfItsOwnMessage(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		s := &spans{ended: map[string]error{}, parents: map[string]string{}}
		n := newNodeWith(t, lua.Config{Budget: time.Second, Engine: testEngine(t)}, actor.Config{Tracer: s}, "main.lua", `
local skynet = require "skynet"
local M = {}
function M.sleeps(_, other)
  skynet.wait("token")
  return skynet.call(other, "lua", "asked")
end
function M.wakes()
  return skynet.wakeup("token")
end
return M`, "other.lua", `return { asked = function() return "answer" end }`)
		ref := n.start("main")
		other := n.start("other")
		done := make(chan string, 1)
		go func() {
			v, err := n.call(ref, "sleeps", int64(other.ID()))
			if err != nil {
				done <- err.Error()
				return
			}
			done <- v.At(0).String()
		}()
		for {
			if v, err := n.call(ref, "wakes"); err != nil || v.At(0).Bool() {
				break
			}
		}
		if got := <-done; got != `"answer"` {
			t.Fatal(got)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.parents["lua asked"] != "lua sleeps" {
			t.Fatalf("the call is part of %q", s.parents["lua asked"])
		}
	})
}

func TestAServiceThatExitsWhileOthersWaitEndsAtOnce(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `
local skynet = require "skynet"
local self = skynet.self()
skynet.start(function()
  skynet.fork(function() skynet.call(self, "lua", "hang") end)
  skynet.fork(function() skynet.sleep(100000) end)
  skynet.dispatch("lua", function(_, _, what)
    if what == "exit" then skynet.exit() end
    skynet.wait()
  end)
end)`)
		ref := n.start("main")
		ended := n.sys.Ended(ref)
		_, _ = n.call(ref, "exit")
		select {
		case <-ended:
		case <-time.After(40 * time.Second):
			t.Fatal("it waits for what it has asked for")
		}
	})
}

func TestAMessageThatIsRefusedTakesNothingFromTheNext(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		n := newNode(t, "main.lua", `return { hello = function() return "hello" end }`)
		ref := n.start("main")
		for range 100 { // more than there are coroutines to begin with
			if _, err := n.call(ref, "nothing"); err == nil {
				t.Fatal("handled")
			}
			if v, err := n.call(ref, "hello"); err != nil || v.At(0).String() != `"hello"` {
				t.Fatal(v, err)
			}
		}
	})
}

func TestPairsShowsAllThatSkynetHas(t *testing.T) {
	onBoth(t, func(t *testing.T) {
		got := eval(t, `
require "skynet.manager"
local names = {}
for name, v in pairs(skynet) do
  assert(v ~= nil)
  names[#names + 1] = name
end
table.sort(names)
return table.concat(names, " ")`)
		if want := `"` + strings.Join(lua.API(), " ") + `"`; got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}
