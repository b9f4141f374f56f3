-- skynet.inject: runs a text in the service, for the console. What it prints is its output. It finds the variables of the service's functions by their names in _U, and
-- in _P by the protocol whose messages these functions handle: `_P.lua.players`, `_U.total = 0`. They are the variables themselves: setting one sets it.
local core = require "skynet.core"

local function collect(f, into, seen)
  if seen[f] then return end
  seen[f] = true
  local i = 1
  while true do
    local name, value = core.upvalue(f, i)
    if not name then return end
    if not into[name] then into[name] = { f, i } end
    if type(value) == "function" and core.same_source(f, value) then collect(value, into, seen) end
    i = i + 1
  end
end

local function view(variables)
  local function value(name)
    local at = variables[name]
    if at then return (select(2, core.upvalue(at[1], at[2]))) end
  end
  return setmetatable({}, {
    __index = function(_, name) return value(name) end,
    __newindex = function(_, name, v)
      local at = variables[name]
      if not at then error("no function of the service has a variable " .. tostring(name), 2) end
      core.set_upvalue(at[1], at[2], v)
    end,
    __pairs = function()
      return function(_, last)
        local name = next(variables, last)
        return name, value(name)
      end, nil, nil
    end,
  })
end

local function variables_of(functions)
  local found, seen = {}, {}
  for _, f in ipairs(functions) do collect(f, found, seen) end
  return found
end

local function functions()
  local all = core.functions()
  local snax = package.loaded["snax.interface"]
  if snax and snax.mine then
    all.snax = {}
    for _, methods in ipairs { snax.mine.methods, snax.mine.system } do
      for _, method in pairs(methods) do table.insert(all.snax, method.body) end
    end
  end
  return all
end

-- Gives whether the text has run to its end, and what it has printed, with the error if there was one.
return function(source, name, ...)
  local output = {}
  local function print(...)
    local line = {}
    for i = 1, select("#", ...) do line[i] = tostring((select(i, ...))) end
    output[#output + 1] = table.concat(line, "\t")
  end
  local by_type, every = {}, {}
  for protocol, list in pairs(functions()) do
    by_type[protocol] = view(variables_of(list))
    for _, f in ipairs(list) do every[#every + 1] = f end
  end
  local env = setmetatable({ print = print, _U = view(variables_of(every)), _P = by_type }, { __index = _G })
  local chunk, err = load(source, name and "@" .. name or "=inject", "t", env)
  if not chunk then return false, err end
  local ok, failure = pcall(chunk, ...)
  if not ok then output[#output + 1] = tostring(failure) end
  return ok, table.concat(output, "\n")
end
