---@meta skynet.stm

---Values that one service writes and others read, each version whole.
---@class skynet.stm
local stm = {}

---Makes a value; called with a packed message it gets a new version.
---@param msg any what skynet.pack gave
---@param sz? integer
---@return any writer
function stm.new(msg, sz) end

---A handle for a reader, to be sent to another service.
---@param writer any
---@return any copy
function stm.copy(writer) end

---Makes a reader of a handle: called with a function that unpacks, it gives whether the value is new, and the value.
---@param copy any
---@return any reader
function stm.newcopy(copy) end

return stm
