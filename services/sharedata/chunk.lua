-- What makes a shared table runs in a VM of its own: this gives it require and print, and runs it.
local find, log, text, name, globals = ...
local _G, error, assert, load, setmetatable, type, select = _G, error, assert, load, setmetatable, type, select
local loaded, making = {}, {}
package = { loaded = loaded }
for _, lib in ipairs { "string", "table", "math", "coroutine", "utf8", "os", "debug" } do loaded[lib] = _G[lib] end
print = log

function require(module)
  if loaded[module] ~= nil then return loaded[module] end
  if making[module] then error("module '" .. module .. "' requires itself", 2) end
  local open, file = find(module)
  if not open then error(file, 2) end
  making[module] = true
  local made = open(module, file)
  making[module] = nil
  if loaded[module] == nil then loaded[module] = made == nil and true or made end
  return loaded[module]
end

-- A source whose globals are the table sees the library through it while it runs.
local env = globals and setmetatable({}, { __index = _G }) or _G
local made = assert(load(text, name, "t", env))(select(6, ...))
if globals then
  setmetatable(env, nil)
  if type(made) ~= "table" then made = env end
end
return made
