-- skynet.exit closes the variables of the coroutine that calls it, too, and what it had forked does not run.
-- only: lua54
local skynet = require "skynet"

local mode, main = ...

if mode then
  local function guard(name)
    return setmetatable({}, { __close = function() skynet.send(main, "lua", name) end })
  end

  local function leave()
    local waits <close> = guard "running"
    skynet.fork(function() skynet.send(main, "lua", "forked") end)
    skynet.exit()
  end

  skynet.start(function()
    skynet.fork(function()
      local waits <close> = guard "waiting"
      skynet.wait()
    end)
    skynet.yield()
    if mode == "start" then leave() end
    skynet.dispatch("lua", leave)
  end)
  return
end

local closed = {}

skynet.start(function()
  skynet.dispatch("lua", function(_, _, name) closed[#closed + 1] = name end)

  skynet.newservice(SERVICE_NAME, "start", skynet.self())
  skynet.sleep(10)
  table.sort(closed)
  assert(table.concat(closed, " ") == "running waiting")

  closed = {}
  local service = skynet.newservice(SERVICE_NAME, "handler", skynet.self())
  assert(not pcall(skynet.call, service, "lua"))
  skynet.sleep(10)
  table.sort(closed)
  assert(table.concat(closed, " ") == "running waiting")
  print "ok"
end)
