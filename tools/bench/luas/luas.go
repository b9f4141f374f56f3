// Package luas measures services in Lua.
package luas

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"

	"github.com/skua-go/skua/tools/bench/measure"
)

var files = fstest.MapFS{
	"echo.lua": {Data: []byte(`
local skynet = require "skynet"
skynet.start(function()
  local count, drained = 0, nil
  skynet.dispatch("lua", function(session, source, cmd, ...)
    if cmd == "count" then
      count = count + 1
    elseif cmd == "counted" then
      skynet.retpack(count)
    else
      skynet.retpack(...)
    end
  end)
end)`)},
	"caller.lua": {Data: []byte(`
local skynet = require "skynet"
local M = {}
function M.start(self, echo) self.echo = echo end

local function workers(n, inflight, each)
  local left, token = inflight, {}
  for i = 1, inflight do
    skynet.fork(function()
      for _ = 1, n // inflight do each() end
      left = left - 1
      if left == 0 then skynet.wakeup(token) end
    end)
  end
  skynet.wait(token)
end

function M.call(self, n, inflight)
  local call, echo = skynet.call, self.echo
  workers(n, inflight, function() call(echo, "lua", "echo", 1) end)
  return n
end

function M.table(self, n)
  local call, echo = skynet.call, self.echo
  for i = 1, n do
    local t = call(echo, "lua", "echo", { id = i, name = "player", x = 1.5, ok = true })
    assert(t.id == i)
  end
  return n
end

function M.send(self, n)
  local send, echo = skynet.send, self.echo
  for i = 1, n do send(echo, "lua", "count", i) end
  return skynet.call(echo, "lua", "counted")
end
return M`)},
}

// perSecond runs the caller's function f with growing n until that takes long enough, and returns operations a second.
func perSecond(ctx context.Context, f string, args ...any) (float64, error) {
	log := slog.New(slog.DiscardHandler)
	rt, err := lua.NewRuntime(lua.Config{Scripts: files, Library: scripts.FS(), Log: log, Budget: time.Minute})
	if err != nil {
		return 0, err
	}
	sys := actor.New(actor.Config{Log: log, CallTimeout: time.Minute})
	v, err := func() (float64, error) {
		launcher, err := sys.Spawn(rt.Launcher())
		if err != nil {
			return 0, err
		}
		echo, err := sys.Ask(ctx, launcher, lua.Launch{Script: "echo"})
		if err != nil {
			return 0, err
		}
		caller, err := sys.Ask(ctx, launcher, lua.Launch{Script: "caller", Args: value.Of(int64(echo.(actor.Ref).ID()))})
		if err != nil {
			return 0, err
		}
		ns, err := measure.PerOp(ctx, func(n int) error {
			v, err := sys.Ask(ctx, caller.(actor.Ref), lua.Command(f, append([]any{n}, args...)...))
			if err != nil {
				return err
			}
			if f != "send" {
				return nil
			}
			if got, _ := v.(value.List).At(0).Int(); got < int64(n) {
				return fmt.Errorf("%d messages arrived of %d", got, n)
			}
			return nil
		})
		return float64(time.Second) / ns, err
	}()
	return v, errors.Join(err, sys.Shutdown(context.WithoutCancel(ctx)))
}

// Call is calls a second from one Lua service to another and back, with inFlight calls at a time.
func Call(inFlight int) measure.Func {
	return func(ctx context.Context) (float64, error) { return perSecond(ctx, "call", inFlight) }
}

// CallTable is calls a second with a table of four fields there and back.
func CallTable(ctx context.Context) (float64, error) { return perSecond(ctx, "table") }

// Send is messages a second from one Lua service to another, all handled.
func Send(ctx context.Context) (float64, error) { return perSecond(ctx, "send") }
