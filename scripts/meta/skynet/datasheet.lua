---@meta skynet.datasheet

---Read-only sheets of all services, which follow updates.
---@class skynet.datasheet
local datasheet = {}

---The sheet of a name.
---@param name string
---@return table
function datasheet.query(name) end

return datasheet
