---@meta skynet.sharetable

---Tables that all services read without copies of their own.
---@class skynet.sharetable
local sharetable = {}

---Runs a file and shares the table that it returns under the file's name.
---@param filename string
---@param ... any the file's arguments
function sharetable.loadfile(filename, ...) end

---Runs a text and shares the table that it returns.
---@param name string
---@param source string
---@param ... any the text's arguments
function sharetable.loadstring(name, source, ...) end

---Shares a table.
---@param name string
---@param tbl table
function sharetable.loadtable(name, tbl) end

---The table shared under a name, nil if there is none.
---@param name string
---@return table?
function sharetable.query(name) end

---All shared tables, or those of the given names.
---@param names? string[]
---@return table<string, table>
function sharetable.queryall(names) end

---Has all references of this service to the given tables see their newest version.
---@param ... string names
function sharetable.update(...) end

return sharetable
