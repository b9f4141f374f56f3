-- Services that call each other in a circle, and themselves: each handles calls while it waits, so this works, to a depth that is theirs to bound.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "node" then
  skynet.start(function()
    local next_one
    local depth, deepest = 0, 0
    tools.serve {
      link = function(a) next_one = a end,
      round = function(n, trail)
        depth = depth + 1
        deepest = math.max(deepest, depth)
        trail[#trail + 1] = skynet.self()
        if n > 0 then trail = skynet.call(next_one, "lua", "round", n - 1, trail) end
        depth = depth - 1
        return trail
      end,
      deepest = function() return deepest end,
    }
  end)
  return
end

skynet.start(function()
  local nodes = {}
  for i = 1, 4 do nodes[i] = skynet.newservice(SERVICE_NAME, "node") end
  for i = 1, 4 do skynet.call(nodes[i], "lua", "link", nodes[i % 4 + 1]) end
  local trail = skynet.call(nodes[1], "lua", "round", 39, {})
  assert(#trail == 40)
  for i, address in ipairs(trail) do assert(address == nodes[(i - 1) % 4 + 1]) end
  for _, n in ipairs(nodes) do assert(skynet.call(n, "lua", "deepest") == 10) end

  -- Of one service with itself.
  local loop = skynet.newservice(SERVICE_NAME, "node")
  skynet.call(loop, "lua", "link", loop)
  assert(#skynet.call(loop, "lua", "round", 15, {}) == 16)
  assert(skynet.call(loop, "lua", "deepest") == 16)

  -- Two at once, against each other.
  local a, b = skynet.newservice(SERVICE_NAME, "node"), skynet.newservice(SERVICE_NAME, "node")
  skynet.call(a, "lua", "link", b)
  skynet.call(b, "lua", "link", a)
  local done = 0
  for i = 1, 10 do
    skynet.fork(function()
      assert(#skynet.call(i % 2 == 0 and a or b, "lua", "round", 9, {}) == 10)
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 10 end)

  -- This service calls itself as well.
  tools.serve { double = function(n) return n > 100 and n or skynet.call(skynet.self(), "lua", "double", n * 2) end }
  assert(skynet.call(skynet.self(), "lua", "double", 3) == 192)
  print "ok"
end)
