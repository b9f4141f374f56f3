-- skynet.manager: what a service may do to others, and to the node. It adds to the module skynet: launch, kill, abort, register, name, forward_type, filter, monitor.
local core = require "skynet.core"

core.manage()

return require "skynet"
