-- skynet.call_timeout: what a caller gives is what all below have together.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, below = ...

if mode == "stage" then
  skynet.start(function()
    local last
    tools.serve {
      run = function(takes, depth)
        skynet.sleep(takes)
        if depth == 0 then return "done" end
        local began = skynet.now()
        local ok, v = pcall(skynet.call, below, "lua", "run", takes, depth - 1)
        last = { waited = skynet.now() - began, code = not ok and v.code or nil }
        if not ok then error(v, 0) end
        return v
      end,
      last = function() return last end,
    }
  end)
  return
end

skynet.start(function()
  local third = skynet.newservice(SERVICE_NAME, "stage")
  local second = skynet.newservice(SERVICE_NAME, "stage", third)
  local first = skynet.newservice(SERVICE_NAME, "stage", second)

  assert(skynet.call_timeout(100, first, "lua", "run", 10, 2) == "done")

  local began = skynet.now()
  local err = tools.fails("", skynet.call_timeout, 25, first, "lua", "run", 20, 2)
  assert(err.code == "deadline")
  assert(skynet.now() - began == 25)
  -- The second one was asked at 20 and told at 25, when the caller's time was over: it has not begun to ask the third.
  skynet.sleep(100)
  local last = skynet.call(first, "lua", "last")
  assert(last.code == "deadline" and last.waited <= 6, last.waited)

  -- Without a time of its own a call has the node's.
  began = skynet.now()
  err = tools.fails("", skynet.call, first, "lua", "run", 100000, 0)
  assert(err.code == "deadline" and skynet.now() - began == 500)

  -- A request that is given up does not hold up the next.
  assert(skynet.call_timeout(50, third, "lua", "run", 1, 0) == "done")
  tools.fails("call_timeout", skynet.call_timeout, "soon", third, "lua", "run", 1, 0)
  print "ok"
end)
