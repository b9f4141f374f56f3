-- A cache of player profiles: those who ask for one that is being loaded wait for that load; a load that fails fails for all of them, and the next is a new one.
-- expect: disk error
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, disk = ...

if mode == "disk" then
  skynet.start(function()
    local reads = {}
    tools.serve {
      read = function(id)
        reads[id] = (reads[id] or 0) + 1
        skynet.sleep(10)
        if id == "bad" and reads[id] == 1 then error("disk error") end
        return { id = id, version = reads[id] }
      end,
      reads = function(id) return reads[id] or 0 end,
    }
  end)
  return
elseif mode == "cache" then
  skynet.start(function()
    local ready, loading = {}, {}
    local function load(id)
      if ready[id] then return ready[id] end
      local flight = loading[id]
      if flight then
        local me = {}
        flight[#flight + 1] = me
        skynet.wait(me)
        if flight.err then error(flight.err, 0) end
        return flight.value
      end
      flight = {}
      loading[id] = flight
      local ok, v = pcall(skynet.call, disk, "lua", "read", id)
      loading[id] = nil
      if ok then flight.value, ready[id] = v, v else flight.err = v end
      for _, token in ipairs(flight) do skynet.wakeup(token) end
      if not ok then error(v, 0) end
      return v
    end
    tools.serve { get = load, drop = function(id) ready[id] = nil end }
  end)
  return
end

skynet.start(function()
  disk = skynet.newservice(SERVICE_NAME, "disk")
  local cache = skynet.newservice(SERVICE_NAME, "cache", disk)
  local function all(id, n)
    local good, bad = 0, 0
    for _ = 1, n do
      skynet.fork(function()
        local ok, v = pcall(skynet.call, cache, "lua", "get", id)
        if ok then
          assert(v.id == id)
          good = good + 1
        else
          bad = bad + 1
        end
      end)
    end
    tools.eventually(function() return good + bad == n end)
    return good, bad
  end
  local began = skynet.now()
  assert(all("ann", 30) == 30)
  assert(skynet.now() - began < 20)
  assert(skynet.call(disk, "lua", "reads", "ann") == 1)
  local good, bad = all("bad", 9)
  assert(good == 0 and bad == 9)
  assert(all("bad", 3) == 3)
  assert(skynet.call(disk, "lua", "reads", "bad") == 2)
  skynet.call(cache, "lua", "drop", "ann")
  assert(skynet.call(cache, "lua", "get", "ann").version == 2)
  print "ok"
end)
