---@meta cjson.safe

---cjson whose encode and decode return nil and a text instead of raising an error.
---@class cjson.safe: cjson
local safe = require "cjson"

return safe
