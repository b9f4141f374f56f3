-- skynet.codecache: how scripts are loaded. A script is read anew for each service that starts: from its file, or from the version that the node runs if it has been
-- given one. An engine may keep the compiled form of a text, which no two texts share.
local core = require "skynet.core"

local cache = {}

local modes = { ON = true, OFF = true, EXIST = true }
local mode = "ON"

-- Skynet's: the services that start from now on get the texts as they are now. They do in any case.
function cache.clear() end

-- Gives the mode, and sets it if there is an argument: "ON", "OFF" or "EXIST".
function cache.mode(new)
  local was = mode
  if new ~= nil then
    if not modes[new] then error('skynet.cache.mode: "ON", "OFF" or "EXIST" is expected, got ' .. tostring(new), 2) end
    mode = new
  end
  return was
end

-- Compiles a file of the project: gives the function, or nil and what is wrong.
cache.loadfile = core.load_file

return cache
