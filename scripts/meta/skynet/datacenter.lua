---@meta skynet.datacenter

---A tree of values that all nodes share.
---@class skynet.datacenter
local datacenter = {}

---The value that the keys lead to.
---@param key string
---@param ... string
---@return any
function datacenter.get(key, ...) end

---Sets the value that the keys lead to; the last argument is the value. Gives the one before it.
---@param key string
---@param ... any
---@return any
function datacenter.set(key, ...) end

---The value that the keys lead to, as soon as there is one.
---@param key string
---@param ... string
---@return any
function datacenter.wait(key, ...) end

return datacenter
