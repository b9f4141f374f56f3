-- skynet.datacenter: a tree of values that all services of all nodes read and write by paths, and wait for.
local skynet = require "skynet"

local datacenter = {}

-- Gives what is at the path: a branch is a table; nil if nothing is there.
function datacenter.get(...)
  return skynet.call("datacenter", "lua", "QUERY", ...)
end

-- Puts the last argument at the path that is before it, and gives what was there; nil takes that away.
function datacenter.set(...)
  return skynet.call("datacenter", "lua", "UPDATE", ...)
end

-- datacenter.get that waits until there is something: as long as that takes, or until the request that is handled is not waited for any more. Who waits for
-- a path of which a longer one is set gets an error: a branch can't be waited for.
function datacenter.wait(...)
  return skynet.call_timeout(math.huge, "datacenter", "lua", "WAIT", ...)
end

return datacenter
