-- skynet.harbor: names of services, as in a Skynet of one node. Nodes have no numbers here: those of a cluster find each other by themselves (skynet.cluster).
local skynet = require "skynet"
local manager = require "skynet.manager"

local harbor = {}

-- How often queryname looks, in 1/100 s.
local every = 10

-- Names a service, this one if there is no handle.
function harbor.globalname(name, handle)
  manager.name(name, handle or skynet.self())
end

-- Gives the address of a service by its name, and waits until there is one; nil at once for a name with a dot in front.
function harbor.queryname(name)
  local address = skynet.localname(name)
  while not address and name:sub(1, 1) ~= "." do
    skynet.sleep(every)
    address = skynet.localname(name)
  end
  return address
end

-- Waits in Skynet until a node has gone. There is none with a number, so it returns.
function harbor.link() end

local function none(what)
  return function()
    error("skynet.harbor." .. what .. ": nodes have no numbers here, and no master: they find each other by themselves, see skynet.cluster", 2)
  end
end

harbor.connect = none "connect"
harbor.linkmaster = none "linkmaster"

return harbor
