---@meta skynet.manager

local skynet = require "skynet"

---What a service may do to others, and to the node: require "skynet.manager" adds it to skynet.
---@class skynet
local manager = skynet

---Starts a service by the name of its launcher: launch("snlua", name, ...).
---@param ... any
---@return integer? address
function manager.launch(...) end

---Ends another service at once.
---@param address skynet.address
function manager.kill(address) end

---Stops the node.
function manager.abort() end

---Names this service: "name" or ".name".
---@param name string
function manager.register(name) end

---Names a service.
---@param name string
---@param address skynet.address
function manager.name(name, address) end

---skynet.start for a service that passes messages of the given types on, as others.
---@param map table<integer, integer> from the number of a type to that of another
---@param start fun()
function manager.forward_type(map, start) end

---skynet.start for a service that sees and changes each message before it is handled.
---@param f fun(type: integer, msg: any, sz: integer, session: integer, source: integer): ...
---@param start fun()
function manager.filter(f, start) end

---Makes a service the monitor, which hears of the ends of others.
---@param service string
---@param query? boolean wait for one that is there
---@return integer address
function manager.monitor(service, query) end

return manager
