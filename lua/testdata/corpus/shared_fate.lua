-- A supervisor of services: those that end are started again, less and less eagerly, and given up in the end.
-- expect: it has crashed
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, runs = ...

if mode == "flaky" then
  skynet.start(function()
    skynet.timeout(runs, function()
      error("it has crashed")
    end)
    skynet.timeout(runs + 1, function() skynet.exit() end)
    tools.serve { ping = function() return "pong" end }
  end)
  return
elseif mode == "steady" then
  skynet.start(function()
    tools.serve { ping = function() return "pong" end }
  end)
  return
end

skynet.start(function()
  local events = {}

  local function supervise(name, kind, limit, ...)
    local args = { n = select("#", ...), ... }
    skynet.fork(function()
      local pause = 10
      for start = 1, limit do
        local address = skynet.newservice(SERVICE_NAME, kind, (table.unpack or unpack)(args, 1, args.n))
        events[#events + 1] = name .. " up " .. start
        skynet.name("." .. name .. start, address)
        -- Answered when it has ended, only.
        pcall(skynet.call_timeout, 1e6, address, "debug", "LINK")
        events[#events + 1] = name .. " down " .. start .. " at " .. skynet.now()
        skynet.sleep(pause)
        pause = pause * 2
      end
      events[#events + 1] = name .. " given up"
    end)
  end

  local began = skynet.now()
  assert(began == 0)
  supervise("flaky", "flaky", 3, 50)
  supervise("steady", "steady", 3)
  skynet.sleep(20)
  assert(skynet.call(".flaky1", "lua", "ping") == "pong" and skynet.call(".steady1", "lua", "ping") == "pong")
  skynet.sleep(1000)
  assert(skynet.call(".steady1", "lua", "ping") == "pong")
  local text = table.concat(events, "\n")
  -- 51 each, with pauses of 10, 20 and 40 between.
  for _, want in ipairs { "flaky down 1 at 51", "flaky down 2 at 112", "flaky down 3 at 183", "flaky given up" } do
    assert(string.find(text, want, 1, true), want .. " is not in\n" .. text)
  end
  assert(not string.find(text, "steady down", 1, true))
  skynet.kill ".steady1"
  tools.eventually(function() return skynet.localname ".steady2" end)
  print "ok"
end)
