---@meta json

return require "cjson"
