-- skynet.manager: what a service may do to others, and to the node.
local skynet = require "skynet"
local core = require "skynet.core"

skynet.kill = core.kill
skynet.abort = core.abort

-- Names this service: "name" or ".name".
function skynet.register(name)
  core.register(name)
end

-- Names another service.
function skynet.name(name, address)
  core.register(name, address)
end

return skynet
