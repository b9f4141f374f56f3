-- The script of services that skynet.service makes of a function.
local skynet = require "skynet"

local function start(text, file, ...)
  local chunk, err = load(text, file)
  if not chunk then error(err, 0) end
  local f = chunk()
  local started
  local real = skynet.start
  skynet.start = function(g)
    started = true
    real(g)
  end
  local module = f(...)
  skynet.start = real
  if type(module) == "table" then return module end
  if not started then skynet.start(function() end) end
end

return start(...)
