-- stm: a map service writes where all are, as often as it likes; viewers read the newest when they draw.
local skynet = require "skynet"
local stm = require "skynet.stm"
local tools = require "lib.tools"

local mode, number = ...

if mode == "viewer" then
  skynet.start(function()
    local read = stm.newcopy(number)
    tools.serve {
      draw = function() return read(skynet.unpack) end,
    }
  end)
  return
end

skynet.start(function()
  local positions = stm.new(skynet.pack { tick = 0, ann = { 1, 1 } })
  local a = skynet.newservice(SERVICE_NAME, "viewer", stm.copy(positions))
  local b = skynet.newservice(SERVICE_NAME, "viewer", stm.copy(positions))
  local new, map = skynet.call(a, "lua", "draw")
  assert(new == true and map.tick == 0 and map.ann[1] == 1)
  assert(skynet.call(a, "lua", "draw") == false, "nothing new")
  for tick = 1, 10 do positions(skynet.pack { tick = tick, ann = { tick, -tick } }) end
  new, map = skynet.call(a, "lua", "draw")
  assert(new and map.tick == 10 and map.ann[2] == -10)
  new, map = skynet.call(b, "lua", "draw")
  assert(new and map.tick == 10, "who reads seldom misses the ones between")
  assert(skynet.call(b, "lua", "draw") == false)
  print "ok"
end)
