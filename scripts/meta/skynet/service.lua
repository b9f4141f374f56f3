---@meta skynet.service

---Services of one function, which are there once.
---@class skynet.service
local service = {}

---Starts a service whose body is a function, unless one of that name is there. The function may not use locals from outside of it.
---@param name string
---@param mainfunc function
---@param ... any its arguments
---@return integer address
function service.new(name, mainfunc, ...) end

---Waits for a service that somebody else starts with service.new.
---@param name string
---@return integer address
function service.query(name) end

---Ends a service that service.new has started.
---@param name string
---@return boolean closed
function service.close(name) end

return service
