-- What several services of the corpus use.
local skynet = require "skynet"

local tools = {}

-- Calls f, which has to fail with the text in its error, and gives the error.
function tools.fails(text, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("no error, but one with " .. text .. " was expected", 2) end
  if not string.find(tostring(err), text, 1, true) then error("an error with " .. text .. " was expected, got " .. tostring(err), 2) end
  return err
end

function tools.equal(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b end
  for k, v in pairs(a) do
    if not tools.equal(v, b[k]) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

-- Lets f run until it gives something true, for ten seconds at most.
function tools.eventually(f)
  for _ = 1, 1000 do
    local v = f()
    if v then return v end
    skynet.sleep(1)
  end
  error("it did not happen", 2)
end

-- Has a table of functions answer messages of type lua.
function tools.serve(command)
  skynet.dispatch("lua", function(_, _, name, ...)
    local f = command[name]
    if not f then error("no command " .. tostring(name)) end
    skynet.retpack(f(...))
  end)
end

return tools
