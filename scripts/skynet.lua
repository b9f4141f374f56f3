-- skynet: the verbs of a service. They are in Go, and get into this table when they are first used.
local core = require "skynet.core"

local skynet = core.skynet

-- An engine that can't raise an error where a coroutine waits has what waits return whether it succeeded.
if not core.throws() then
  local error = error

  local function answer(ok, ...)
    if ok then return ... end
    error((...), 0)
  end

  for _, name in ipairs { "call", "call_timeout", "rawcall", "tracecall", "newservice", "uniqueservice", "queryservice" } do
    local f = skynet[name]
    skynet[name] = function(...) return answer(f(...)) end
  end
  core.answer = answer
end

return skynet
