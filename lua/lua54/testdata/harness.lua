-- Returns a function that runs a program and returns what it has given to P, a line a call.
local tostring, type, mathtype, sort, concat, pairs, select, format = tostring, type, math.type, table.sort, table.concat, pairs, select, string.format

local function show(v, depth)
  local t = type(v)
  if t == "number" then
    if mathtype(v) == "integer" then return tostring(v) end
    if v ~= v then return "nan" end
    if v == 1 / 0 or v == -1 / 0 then return v > 0 and "inf" or "-inf" end
    return format("f%.14g", v)
  end
  if t == "string" then return '"' .. v:gsub("[^ -~]", function(c) return "\\" .. c:byte() end) .. '"' end
  if t ~= "table" then return t == "function" and "function" or t == "thread" and "thread" or tostring(v) end
  if depth > 3 then return "{...}" end
  local parts = {}
  for k, e in next, v do
    parts[#parts + 1] = "[" .. (show(k, depth + 1)) .. "]=" .. (show(e, depth + 1))
  end
  sort(parts)
  return "{" .. concat(parts, ",") .. "}"
end

-- What goes wrong by itself is worded as each engine likes; what a program raises is not.
local function message(e)
  if type(e) == "string" and not e:find("E%d") then return "an error of the engine" end
  return (show(e, 0))
end

return function(source)
  local out = {}
  local env = {}
  for k, v in pairs(_G) do env[k] = v end
  function env.P(...)
    if #out > 2000 then error("E0 too much output", 0) end
    local line = {}
    for i = 1, select("#", ...) do line[i] = (show((select(i, ...)), 0)) end
    out[#out + 1] = concat(line, " ")
  end
  function env.T(f, ...) -- pcall with an error that can be compared
    local function results(ok, ...)
      if ok then return true, ... end
      return false, message((...))
    end
    return results(pcall(f, ...))
  end
  function env.I(n) return math.tointeger(n) or "f" end -- how a float becomes a string is not compared here
  function env.F(n) return n == n and n < 1 / 0 and n > -1 / 0 and n or 0 end
  function env.C(t, sep, i, j)
    local copy = {}
    for k, v in pairs(t) do copy[k] = type(v) == "number" and env.I(v) or v end
    return concat(copy, sep, i, j)
  end
  function env.K(co)
    local ok, e = coroutine.close(co)
    return ok, type(e)
  end
  local f, err = load(source, "=program", "t", env)
  if not f then return "syntax: " .. tostring(err) end
  local co = coroutine.create(f)
  if debug.sethook then -- the reference: a program that does not end is not compared
    local long = function() out[1] = "E9 too long" error("E9 too long", 0) end
    local create = coroutine.create
    debug.sethook(co, long, "", 3000000)
    env.coroutine = setmetatable({}, { __index = coroutine })
    env.coroutine.create = function(g)
      local c = create(g)
      debug.sethook(c, long, "", 3000000)
      return c
    end
  end
  local ok, e = coroutine.resume(co)
  if not ok then out[#out + 1] = "ends with " .. message(e) end
  out[#out + 1] = coroutine.status(co)
  return concat(out, "\n")
end
