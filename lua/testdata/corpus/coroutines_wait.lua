-- Coroutines of the script's own in which one waits: a scripted scene in which actors move step by step, and talk to services meanwhile.
-- only: lua54
local skynet = require "skynet"
local skyco = require "skynet.coroutine"
local tools = require "lib.tools"

local mode = ...

if mode == "map" then
  skynet.start(function()
    tools.serve { path = function(from, to) skynet.sleep(2) return to - from end }
  end)
  return
end

skynet.start(function()
  local map = skynet.newservice(SERVICE_NAME, "map")

  -- The coroutine's own yields go to the script, and its waits to the service.
  local function scene(coroutines)
    local co = coroutines.create(function(x)
      for _, goal in ipairs { 5, 9, 2 } do
        local way = skynet.call(map, "lua", "path", x, goal)
        x = x + way
        skynet.sleep(1)
        coroutines.yield(x, way)
      end
      return "end"
    end)
    local seen = {}
    while true do
      local ok, x, way = coroutines.resume(co, 1)
      assert(ok, x)
      if x == "end" then break end
      seen[#seen + 1] = x .. "/" .. way
    end
    assert(coroutines.status(co) == "dead")
    return table.concat(seen, " ")
  end
  assert(scene(coroutine) == "5/4 9/4 2/-7")
  assert(scene(skyco) == "5/4 9/4 2/-7")

  -- Several scenes at once.
  local done = 0
  for _ = 1, 10 do
    skynet.fork(function()
      assert(scene(skyco) == "5/4 9/4 2/-7")
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 10 end)

  -- An iterator that waits, a metamethod that waits, a sort that is asked outside.
  local total = 0
  for i, v in skyco.wrap(function()
    for i = 1, 3 do
      skynet.sleep(1)
      skyco.yield(i, skynet.call(map, "lua", "path", 0, i * i))
    end
  end) do
    total = total + i * v
  end
  assert(total == 1 + 8 + 27)
  local remote = setmetatable({}, { __index = function(_, k) return skynet.call(map, "lua", "path", 0, k) end })
  assert(remote[3] + remote[4] == 7)
  local sum = setmetatable({}, { __add = function(_, n) skynet.sleep(1) return n end, __concat = function(_, s) skynet.sleep(1) return s end })
  assert(sum + 4 == 4 and sum .. "x" == "x")

  -- An error behind a wait reaches whoever resumes.
  local co = skyco.create(function() skynet.sleep(1) error("behind a wait") end)
  local ok, err = skyco.resume(co)
  assert(not ok and string.find(err, "behind a wait", 1, true))

  -- A coroutine that waits in another handler is blocked, and can't be resumed.
  local blocked = skyco.create(function() skynet.sleep(5) return 1 end)
  skynet.fork(function() skyco.resume(blocked) end)
  skynet.sleep(1)
  assert(skyco.status(blocked) == "blocked")
  assert(skyco.resume(blocked) == false)
  skynet.sleep(10)
  assert(skyco.status(blocked) == "dead")
  print "ok"
end)
