---@meta skynet.datasheet.builder

---Makes and changes the sheets of skynet.datasheet.
---@class skynet.datasheet.builder
local builder = {}

---Shares a table as a sheet.
---@param name string
---@param v table
function builder.new(name, v) end

---Gives a sheet a new version.
---@param name string
---@param v table
function builder.update(name, v) end

---The packed form of a table.
---@param v table
---@return string
function builder.compile(v) end

return builder
