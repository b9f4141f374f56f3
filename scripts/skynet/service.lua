-- skynet.service: a function as a service that is there once on a node.
local core = require "skynet.core"

local service = {}

-- The addresses of services that this one has asked for.
local cache = {}

-- How many upvalues a function has that uses globals and nothing else.
local globals = debug.getinfo(function() return print end, "u").nups

local function source_of(f)
  if type(f) ~= "function" then error("service.new: a function is expected as argument 2, got " .. type(f), 3) end
  local info = debug.getinfo(f, "Su")
  if info.nups > globals then
    error("service.new: the function is to be run in a service of its own, so it can't use local variables of the file that it is in: require what it needs in it", 3)
  end
  return core.function_text(info.source, info.linedefined, info.lastlinedefined), info.source
end

-- Starts the service of that name, unless it is there, and gives its address. f runs in it with the arguments: as a script's text would, it calls skynet.start,
-- or returns a table of handlers, or just sets handlers with skynet.dispatch.
function service.new(name, f, ...)
  local text, file = source_of(f)
  cache[name] = core.unique(name, false, "skynet.service_cell", text, file, ...)
  return cache[name]
end

-- Waits for the service of that name and gives its address.
function service.query(name)
  if not cache[name] then
    cache[name] = core.unique(name, true, "skynet.service_cell")
  end
  return cache[name]
end

-- Ends the service; false if there is none.
function service.close(name)
  cache[name] = nil
  return core.close_unique(name)
end

return service
