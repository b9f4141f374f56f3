-- How values are shown and compared in tests.
local values = {}

-- Bounds of what is shown of a table.
local max_depth, max_items = 4, 30

local show

local function show_table(v, depth)
  local parts = {}
  for k, e in pairs(v) do
    if #parts == max_items then
      parts[#parts + 1] = "~ ..." -- sorted behind the others
      break
    end
    local key = type(k) == "string" and string.find(k, "^[%a_][%w_]*$") and k or "[" .. show(k, depth + 1) .. "]"
    parts[#parts + 1] = key .. " = " .. show(e, depth + 1)
  end
  if #parts == 0 then return "{}" end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

function show(v, depth)
  if type(v) == "string" then return string.format("%q", v) end
  if type(v) ~= "table" then return tostring(v) end
  local mt = getmetatable(v)
  if type(mt) == "table" and mt.__tostring then return tostring(v) end
  if depth > max_depth then return "{ ... }" end
  return show_table(v, depth)
end

function values.show(v)
  return show(v, 0)
end

local function path_of(path, k)
  if type(k) == "string" and string.find(k, "^[%a_][%w_]*$") then return path .. "." .. k end
  return path .. "[" .. show(k, 0) .. "]"
end

-- The keys of both tables in an order that is the same each time.
local function keys_of(a, b)
  local keys = {}
  for k in pairs(a) do keys[#keys + 1] = k end
  for k in pairs(b) do
    if rawget(a, k) == nil then keys[#keys + 1] = k end
  end
  table.sort(keys, function(x, y)
    if type(x) == type(y) and (type(x) == "number" or type(x) == "string") then return x < y end
    return type(x) .. tostring(x) < type(y) .. tostring(y)
  end)
  return keys
end

local function difference(a, b, path, seen)
  if rawequal(a, b) or a == b or a ~= a and b ~= b then return nil end
  if type(a) ~= "table" or type(b) ~= "table" then return path, a, b end
  seen[a] = seen[a] or {}
  if seen[a][b] then return nil end
  seen[a][b] = true
  for _, k in ipairs(keys_of(a, b)) do
    local where, x, y = difference(a[k], b[k], path_of(path, k), seen)
    if where then return where, x, y end
  end
  return nil
end

-- Where a differs first from b, and what both have there; nil if they have the same content.
function values.difference(a, b)
  return difference(a, b, "", {})
end

-- An error as text.
function values.text(err)
  if type(err) == "string" then return err end
  return show(err, 0)
end

return values
