-- A service that runs the chunks that it is sent; what they assign to globals stays.
skynet = require "skynet"
sharedata = require "skynet.sharedata"
sharetable = require "skynet.sharetable"
datasheet = require "skynet.datasheet"
builder = require "skynet.datasheet.builder"
stm = require "skynet.stm"

-- Everything in a table, read through pairs, as one text.
function dump(t)
  if type(t) == "string" then return '"' .. t .. '"' end
  if type(t) ~= "table" then return tostring(t) end
  local parts = {}
  for k, v in pairs(t) do parts[#parts + 1] = tostring(k) .. "=" .. dump(v) end
  table.sort(parts)
  return "{" .. table.concat(parts, ",") .. "}"
end

local M = {}

function M.run(_, text)
  return assert((loadstring or load)(text, "=chunk"))()
end

return M
