---@meta skynet.harbor

---Names of services, as in a Skynet of one node.
---@class skynet.harbor
local harbor = {}

---Names a service, this one if there is no handle.
---@param name string
---@param handle? integer
function harbor.globalname(name, handle) end

---The address of a service by its name; it waits until there is one. Nil at once for a name with a dot in front.
---@param name string
---@return integer?
function harbor.queryname(name) end

---Returns at once: nodes have no numbers here.
---@param id? integer
function harbor.link(id) end

---An error: nodes have no numbers here.
---@param id? integer
---@deprecated
function harbor.connect(id) end

---An error: there is no master.
---@deprecated
function harbor.linkmaster() end

return harbor
