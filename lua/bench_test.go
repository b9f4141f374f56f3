package lua_test

import (
	"context"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
)

const benchCaller = `
local skynet = require "skynet"
local M = {}

function M.calls(_, n)
  local echo = skynet.newservice("echo")
  for i = 1, n do skynet.call(echo, "lua", "echo", i) end
end

function M.flight(_, n)
  local echo = skynet.newservice("echo")
  local left = 100
  for _ = 1, 100 do
    skynet.fork(function()
      for i = 1, n / 100 do skynet.call(echo, "lua", "echo", i) end
      left = left - 1
      if left == 0 then skynet.wakeup("done") end
    end)
  end
  skynet.wait("done")
end

function M.tables(_, n)
  local echo = skynet.newservice("echo")
  for i = 1, n do skynet.call(echo, "lua", "echo", { id = i, name = "somebody", gold = 2.5, on = true }) end
end

function M.sends(_, n)
  local echo = skynet.newservice("echo")
  for i = 1, n do
    skynet.send(echo, "lua", "none", i)
    if i % 1000 == 0 then skynet.call(echo, "lua", "echo") end
  end
  skynet.call(echo, "lua", "echo")
end

function M.timers(_, n)
  while n > 0 do
    local some, due = math.min(n, 100000), 0
    for _ = 1, some do
      skynet.timeout(1, function()
        due = due + 1
        if due == some then skynet.wakeup("done") end
      end)
    end
    skynet.wait("done")
    n = n - some
  end
end

return M`

const benchEcho = `
local skynet = require "skynet"
skynet.start(function()
  skynet.dispatch("lua", function(session, _, cmd, ...)
    if session ~= 0 then skynet.ret(skynet.pack(...)) end
  end)
end)`

// How long does a round trip between two services take, one at a time and with 100 in flight? How long a call with a table, a message one way, a timer?
func BenchmarkVerbs(b *testing.B) {
	for _, engine := range []string{lua54.Name, gopher.Name} {
		for _, cmd := range []string{"calls", "flight", "tables", "sends", "timers"} {
			b.Run(engine+"/"+cmd, func(b *testing.B) {
				n := newNodeWith(b, lua.Config{Engine: testEngine(b), Budget: time.Minute}, actor.Config{CallTimeout: time.Minute},
					"main.lua", benchCaller, "echo.lua", benchEcho)
				ref := n.start("main")
				b.ReportAllocs()
				b.ResetTimer()
				ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
				defer cancel()
				if _, err := n.sys.Ask(ctx, ref, lua.Command(cmd, max(b.N, 100))); err != nil {
					b.Fatal(err)
				}
			})
		}
	}
}
