-- skynet.manager: what a service may do to others, and to the node. It adds to the module skynet: launch, kill, abort, register, name, forward_type, filter, monitor.
local skynet = require "skynet"
local core = require "skynet.core"

core.manage()

local answer = core.answer
if answer then
  for _, name in ipairs { "launch", "monitor" } do
    local f = skynet[name]
    skynet[name] = function(...) return answer(f(...)) end
  end
end

return skynet
