-- skynet.init and skynet.init_service: what runs before a service's start function.
local core = require "skynet.core"

local M = {}

-- What is to run; nil when the service has begun.
local inits = {}

local function run_inits()
  local i = 1
  while inits and inits[i] do
    inits[i]()
    i = i + 1
  end
  inits = nil
end

core.begun(run_inits)

-- Runs f before the start function. Once that has begun: when the module that is being required is there, or else at once.
function M.init(f)
  if type(f) ~= "function" then error("skynet.init: a function is expected as argument 1, got " .. type(f), 2) end
  if inits then
    inits[#inits + 1] = f
  elseif not core.requiring(f) then
    f()
  end
end

-- Runs what skynet.init was given and then f, after which the service is ready. If that fails, whoever has started the service gets the error.
function M.init_service(f)
  if type(f) ~= "function" then error("skynet.init_service: a function is expected as argument 1, got " .. type(f), 2) end
  local traceback
  local ok, err = xpcall(function()
    run_inits()
    f()
  end, function(e)
    traceback = debug.traceback("", 2)
    return e
  end)
  core.ready(ok, err, traceback)
end

return M
