---@meta skynet.stm

---Values that one service writes and others read, each version whole.
---@class skynet.stm
local stm = {}

---Makes a value; what it gives is called with a packed message for a new version.
---@param msg any what skynet.pack gave, or a string
---@param sz? integer
---@return fun(msg: any, sz?: integer) writer
function stm.new(msg, sz) end

---A number for one reader, which can be sent to the service that is to read.
---@param writer function
---@return integer copy
function stm.copy(writer) end

---The reader of such a number. Called with a function, it gives true and what that makes of the message and its size, or false if there is no other
---message than when it was called last.
---@param copy integer
---@return fun(unpack: (fun(msg: any, sz: integer, ...): ...), ...): boolean, ... reader
function stm.newcopy(copy) end

return stm
