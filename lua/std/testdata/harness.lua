-- Returns a function that runs a script and returns what its calls of C have come to, a line a call.
local format, type, mathtype, sort, concat, pack, unpack, tostring = string.format, type, math.type, table.sort, table.concat, table.pack, table.unpack, tostring
local pcall, pairs, floor = pcall, pairs, math.floor

local show

local function fields(t, depth)
  local parts = {}
  for k, v in pairs(t) do parts[#parts + 1] = show(k, depth + 1) .. "=" .. show(v, depth + 1) end
  sort(parts)
  return "{" .. concat(parts, ",") .. "}"
end

function show(v, depth)
  local t = type(v)
  if t == "string" or t == "nil" or t == "boolean" then return (format("%q", v):gsub("\n", "n")) end
  if t == "number" then
    return format("%q", v)
  end
  if t == "table" and depth < 3 then return fields(v, depth) end
  return t
end

function R(...) return pack(...) end

-- All that an iterator gives.
local function all(f, s, c)
  local r = {}
  for i = 1, 20 do
    local one = pack(f(s, c))
    if one[1] == nil then break end
    c = one[1]
    r[i] = one
  end
  return r
end

-- What a function does with a list that has metamethods only, and all that it asks for.
function L(f, list, ...)
  local log = {}
  local function note(...) log[#log + 1] = concat({ ... }, ":") end
  local proxy = setmetatable({}, {
    __len = function() note("len") return #list end,
    __index = function(_, k) note("get", k) return list[k] end,
    __newindex = function(_, k, v) note("set", k, tostring(v)) list[k] = v end,
  })
  local r = pack(pcall(f, proxy, ...))
  for i = 1, r.n do if type(r[i]) == "string" then r[i] = r[i]:gsub("table%.", ""):gsub("#1 to 'remove'", "#2 to 'remove'") end end
  return concat(log, " "), list, unpack(r, 1, r.n)
end

function G(...) return all(string.gmatch(...)) end
function U(...) return all(utf8.codes(...)) end
function S(l) table.sort(l, function(a, b) return a > b end) return l end
-- Functions that are no more exact than the processor, or who wrote them, makes them.
function M(x) return format('%.13g', x) end
function TM(t) local n = os.time(t) return n, t end
function X(a, b, c)
  math.randomseed(a)
  return math.random(0), math.random(a < b and a or b, a < b and b or a), math.random(1, 10), math.random(), math.random(100), c and math.random(c)
end

return function(source)
  local out = {}
  function C(f)
    local ok, r = pcall(f)
    if ok and type(r) == "table" then
      local parts = {}
      for i = 1, r.n do parts[i] = show(r[i], 0) end
      out[#out + 1] = concat(parts, " "):gsub("-nan", "nan"):gsub("builtin: ", ""):gsub("(%a+: )0x%w+", "%1") -- whose sign engines make as they like
    else
      out[#out + 1] = tostring(r):gsub("\n", "\\n"):gsub("#1 to 'remove'", "#2 to 'remove'"):gsub('0x%w+$', '') -- it is the first up to Lua 5.4.4

    end
  end
  local f, err = load(source, "=script")
  if not f then return "syntax: " .. tostring(err) end
  f()
  return concat(out, "\n")
end
