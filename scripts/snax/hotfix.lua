-- snax.hotfix: gives methods of a snax service that runs other functions. The text of the patch defines them as the script does: `function response.name`. Variables
-- that it declares without a value (`local gold`) are those of the script's functions of the same name; others are its own. Its function hotfix is called at
-- the end, with the arguments.
local core = require "skynet.core"
local interface = require "snax.interface"

-- Puts the variables of a function, and of those of its script that it has as variables, into found, by their names.
local function collect(f, found, seen)
  if seen[f] then return end
  seen[f] = true
  local i = 1
  while true do
    local name, value = core.upvalue(f, i)
    if not name then return end
    local known = found[name]
    if not known then
      found[name] = { func = f, index = i }
    elseif not core.same_upvalue(f, i, known.func, known.index) then
      known.ambiguous = true
    end
    if type(value) == "function" and core.same_source(f, value) then collect(value, found, seen) end
    i = i + 1
  end
end

-- Calls f with each variable of a function of the patch that is one of the service's.
local function shared(method, variables, seen, f)
  if seen[method] then return end
  seen[method] = true
  local i = 1
  while true do
    local name, value = core.upvalue(method, i)
    if not name then return end
    local was = variables[name]
    if value == nil and was then
      f(method, i, name, was)
    elseif type(value) == "function" and core.same_source(method, value) then
      shared(value, variables, seen, f)
    end
    i = i + 1
  end
end

local function each(found, f)
  for _, methods in ipairs { found.methods, found.system } do
    for id, method in pairs(methods) do f(methods, id, method) end
  end
end

local function check(found, patch, variables)
  for id in pairs(patch.methods) do
    if not found.methods[id] then error(string.format("snax %s: the patch has %s, which the service has not", found.name, id), 0) end
  end
  local seen = {}
  each(patch, function(_, id, method)
    shared(method.body, variables, seen, function(_, _, name, was)
      if was.ambiguous then
        error(string.format("snax %s: %s of the patch uses %s, of which the service has several", found.name, id, name), 0)
      end
    end)
  end)
end

local function apply(found, text, ...)
  if type(text) ~= "string" then error("snax.hotfix: the text of a patch is expected, got " .. type(text), 0) end
  local patch = interface.patch(found.name, text)
  local variables, seen = {}, {}
  each(found, function(_, _, method) collect(method.body, variables, seen) end)
  check(found, patch, variables) -- before anything is changed
  seen = {}
  each(patch, function(_, _, method)
    shared(method.body, variables, seen, function(f, i, _, was) core.join_upvalue(f, i, was.func, was.index) end)
  end)
  for id, method in pairs(patch.methods) do found.methods[id].body = method.body end
  for id, method in pairs(patch.system) do found.system[id] = method end
  if patch.system.hotfix then return patch.system.hotfix.body(...) end
end

-- Gives true and the results of the patch's hotfix, or false and what is wrong: then nothing has changed, unless that has failed itself.
return function(found, text, ...) return pcall(apply, found, text, ...) end
