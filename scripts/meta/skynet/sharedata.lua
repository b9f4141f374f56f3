---@meta skynet.sharedata

---Read-only data of all services, which are told of new versions.
---@class skynet.sharedata
local sharedata = {}

---The data shared under a name. What it gives follows updates.
---@param name string
---@return table
function sharedata.query(name) end

---Shares a table, a text that returns one, or a file ("@name").
---@param name string
---@param value table|string
---@param ... any the text's arguments
function sharedata.new(name, value, ...) end

---Gives the data a new version.
---@param name string
---@param value table|string
---@param ... any
function sharedata.update(name, value, ...) end

---Takes the data away.
---@param name string
function sharedata.delete(name) end

---Makes updates visible now, where the next message or wait would.
function sharedata.flush() end

---A copy that the service may change, of all of it or of what the keys lead to.
---@param name string
---@param ... any keys
---@return any
function sharedata.deepcopy(name, ...) end

return sharedata
