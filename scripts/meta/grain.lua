---@meta grain

---Services that are called by kind and id, of which one lives on one node of the cluster at a time. The kinds are the tables [grains.NAME] of skua.toml. grain(kind, id) is grain.of(kind, id).
---@class grain
---@overload fun(kind: string, id: string|integer): grain.proxy
local grain = {}

---A grain that can be spoken to. It is started by what is sent to it.
---@class grain.proxy
---@field kind string
---@field id string|integer
local proxy = {}

---Asks the grain and gives its answer, as skynet.call does.
---@param command string
---@param ... any
---@return any ...
function proxy:call(command, ...) end

---The same, with a timeout.
---@param centiseconds number 1/100 s
---@param command string
---@param ... any
---@return any ...
function proxy:call_timeout(centiseconds, command, ...) end

---Gives the grain a message, as skynet.send does.
---@param command string
---@param ... any
function proxy:send(command, ...) end

---Gives the grain of that kind and id.
---@param kind string
---@param id string|integer
---@return grain.proxy
function grain.of(kind, id) end

---Who the grain is that this service is: kind, id and epoch, which is higher than that of any activation before; nothing if it is none.
---@return string? kind
---@return string? id
---@return integer? epoch
function grain.self() end

---Ends this activation when it has handled what it was sent so far. The next message to the grain starts it anew.
function grain.sleep() end

return grain
