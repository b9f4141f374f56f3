-- datacenter: services find each other by paths in a tree, and wait for those that are not there yet.
local skynet = require "skynet"
local datacenter = require "skynet.datacenter"
local tools = require "lib.tools"

local mode, region = ...

if mode == "map" then
  skynet.start(function()
    skynet.sleep(20)
    datacenter.set("maps", region, "address", skynet.self())
    local players = 0
    tools.serve {
      enter = function()
        players = players + 1
        local n = players -- others may enter while this one waits
        datacenter.set("maps", region, "players", n)
        return region, n
      end,
    }
  end)
  return
elseif mode == "traveller" then
  skynet.start(function()
    tools.serve {
      travel = function(to) return skynet.call(datacenter.wait("maps", to, "address"), "lua", "enter") end,
    }
  end)
  return
end

skynet.start(function()
  assert(datacenter.get("maps") == nil)
  local travellers, arrived = {}, {}
  for i = 1, 4 do
    travellers[i] = skynet.newservice(SERVICE_NAME, "traveller")
    skynet.fork(function()
      local where, n = skynet.call(travellers[i], "lua", "travel", i % 2 == 0 and "north" or "south")
      arrived[#arrived + 1] = where .. n
    end)
  end
  skynet.sleep(5)
  assert(#arrived == 0)
  skynet.fork(skynet.newservice, SERVICE_NAME, "map", "north")
  tools.eventually(function() return #arrived == 2 end)
  skynet.newservice(SERVICE_NAME, "map", "south")
  tools.eventually(function() return #arrived == 4 end)
  table.sort(arrived)
  assert(table.concat(arrived, " ") == "north1 north2 south1 south2", table.concat(arrived, " "))

  local north = datacenter.get("maps", "north")
  assert(north.players == 2 and type(north.address) == "number")
  assert(datacenter.set("maps", "north", "players", 7) == 2 and datacenter.get("maps", "north", "players") == 7)
  assert(datacenter.set("season", "winter") == nil and datacenter.set("season", nil) == "winter" and datacenter.get("season") == nil)
  assert(datacenter.wait("maps", "south", "players") == 2, "what is there needs no wait")
  print "ok"
end)
