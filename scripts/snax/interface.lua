-- snax.interface: what a snax script defines. Its functions are `accept.name` (a message without an answer), `response.name` (a request), and the globals
-- init, exit, hotfix and profile, which belong to the system.
local core = require "skynet.core"

local M = {}

local system = { init = true, exit = true, hotfix = true, profile = true }

-- An interface keeps each function once, under the name that messages have for it: "response.name". Whoever changes the field body there replaces the function.
local function new(name)
  return { name = name, methods = {}, system = {} }
end

local function add(found, group, name, body)
  if type(name) ~= "string" then
    error(string.format("snax %s: the methods of %s have strings as names, got %s", found.name, group, type(name)), 3)
  end
  if type(body) ~= "function" then
    error(string.format("snax %s: %s.%s has to be a function, got %s", found.name, group, name, type(body)), 3)
  end
  local id = group .. "." .. name
  if found.methods[id] then error(string.format("snax %s: %s is defined twice", found.name, id), 3) end
  found.methods[id] = { group = group, name = name, body = body }
end

-- The table that a script defines the methods of a group in. It can call them by it, too, later on.
local function group_of(found, group)
  return setmetatable({}, {
    __newindex = function(_, name, body) add(found, group, name, body) end,
    __index = function(_, name)
      local method = type(name) == "string" and found.methods[group .. "." .. name]
      return method and method.body or nil
    end,
  })
end

local function define(found, globals, name, body)
  if not system[name] then
    globals[name] = body
  elseif type(body) == "function" then
    found.system[name] = { group = "system", name = name, body = body }
  else
    error(string.format("snax %s: %s has to be a function, got %s", found.name, name, type(body)), 3)
  end
end

local function text_of(name)
  local text, file = core.script_text(name)
  if not text then error(file, 0) end
  return text, file
end

local function compiled(text, file, env)
  local chunk, err = load(text, "@" .. file, "t", env)
  if not chunk then error(err, 0) end
  return chunk
end

-- Runs a chunk that defines methods, with the globals of the VM.
local function run(found, text, file)
  local globals = {}
  local env = { accept = group_of(found, "accept"), response = group_of(found, "response") }
  local chunk = compiled(text, file, _G)
  local before = getmetatable(_G)
  local collecting = {
    __index = function(_, k)
      local v = env[k]
      if v == nil then v = globals[k] end
      return v
    end,
    __newindex = function(_, k, v) define(found, globals, k, v) end,
  }
  local accept, response = rawget(_G, "accept"), rawget(_G, "response") -- of the service that is patched
  rawset(_G, "accept", nil)
  rawset(_G, "response", nil)
  setmetatable(_G, collecting)
  local ok, err = pcall(chunk)
  if getmetatable(_G) == collecting then setmetatable(_G, before) end -- else the script has set one of its own
  rawset(_G, "accept", accept)
  rawset(_G, "response", response)
  if not ok then error(err, 0) end
  for k, v in pairs(globals) do rawset(_G, k, v) end
  return env
end

-- Runs the script of this service and gives its interface and its file.
function M.load(name)
  local text, file = text_of(name)
  local found = new(name)
  local env = run(found, text, file)
  rawset(_G, "accept", env.accept)
  rawset(_G, "response", env.response)
  return found, file
end

-- Runs a text that defines some methods of a service anew, and gives these.
function M.patch(name, text)
  local found = new(name)
  run(found, text, "patch")
  return found
end

-- What modules are to a script that is read for its methods only: a value that takes part in anything and does nothing.
local nothing = setmetatable({}, nil)

local function nought() return 0 end

local function itself() return nothing end

setmetatable(nothing, {
  __index = itself,
  __newindex = function() end,
  -- A loop calls its iterator with two values, and would not end: it gets nil.
  __call = function(_, ...)
    if select("#", ...) == 2 and ... == nil and select(2, ...) == nil then return nil end
    return nothing
  end,
  __concat = function() return "" end,
  __tostring = function() return "" end,
  __len = nought, __unm = nought, __add = nought, __sub = nought, __mul = nought, __div = nought, __mod = nought, __pow = nought, __idiv = nought,
  __band = nought, __bor = nought, __bxor = nought, __shl = nought, __shr = nought, __bnot = nought,
  __lt = function() return false end,
  __le = function() return false end,
})

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = v end
  return c
end

-- The globals for a script that is read for its methods: what computes is there, and what reaches beyond does nothing.
local function harmless(found)
  local env = { require = itself, print = function() end, SERVICE_NAME = found.name }
  for _, name in ipairs { "string", "table", "math", "os", "utf8", "coroutine" } do
    if type(_G[name]) == "table" then env[name] = copy(_G[name]) end
  end
  for _, name in ipairs {
    "assert", "error", "getmetatable", "next", "pcall", "rawequal", "rawget", "rawset", "select", "setmetatable", "tonumber", "tostring", "type",
    "unpack", "xpcall", "rawlen",
  } do
    env[name] = _G[name]
  end
  -- What nothing has in it is endless.
  for _, name in ipairs { "pairs", "ipairs" } do
    local iterate = _G[name]
    env[name] = function(t)
      if t == nothing then return next, {} end
      return iterate(t)
    end
  end
  env.accept, env.response, env._G = group_of(found, "accept"), group_of(found, "response"), env
  return setmetatable(env, { __newindex = function(t, k, v)
    if system[k] then define(found, t, k, v) else rawset(t, k, v) end
  end })
end

-- Gives the interface of a script that runs elsewhere. The script is run here, without its modules. If it fails without them, `open` is set: there may be
-- methods that were not found.
function M.read(name)
  local text, file = text_of(name)
  local found = new(name)
  found.open = not pcall(compiled(text, file, harmless(found)))
  return found
end

return M
