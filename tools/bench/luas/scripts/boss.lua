-- Starts many services and ends them.
local skynet = require "skynet"
require "skynet.manager"

local CMD = {}
local services = {}

-- Starts n services, one after the other.
function CMD.start(name, n)
  for _ = 1, n do
    services[#services + 1] = skynet.newservice(name)
  end
end

-- Starts n services that handle a message each, by what the first argument of newservice is.
function CMD.populate(name, n)
  for _ = 1, n do
    local address = skynet.newservice(name)
    assert(skynet.call(address, "lua", "ping") == "pong")
    services[#services + 1] = address
  end
end

-- The same with services that share VMs.
function CMD.populate_shards(name, n)
  for i = 1, n do
    local address = skynet.newservice({ name, shard = true }, i, "player" .. i)
    assert(skynet.call(address, "lua", "ping") == "pong")
    services[#services + 1] = address
  end
end

function CMD.kill()
  for _, address in ipairs(services) do
    skynet.kill(address)
  end
  services = {}
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    skynet.ret(skynet.pack(f(...)))
  end)
end)
