-- expect(value).to_be(other) and the like: assertions that say what they found.
local function show(v, depth)
  if type(v) == "string" then return string.format("%q", v) end
  if type(v) ~= "table" or depth > 3 then return tostring(v) end
  local parts = {}
  for k, e in pairs(v) do parts[#parts + 1] = "[" .. show(k, depth + 1) .. "] = " .. show(e, depth + 1) end
  table.sort(parts)
  return "{ " .. table.concat(parts, ", ") .. " }"
end

local function same(a, b, seen)
  if rawequal(a, b) or a == b then return true end
  if type(a) ~= "table" or type(b) ~= "table" then return false end
  if seen[a] == b then return true end
  seen[a] = b
  for k, v in pairs(a) do
    if not same(v, b[k], seen) then return false end
  end
  for k in pairs(b) do
    if a[k] == nil then return false end
  end
  return true
end

local function fail(value, what, other)
  error("expected " .. show(value, 0) .. " " .. what .. (other and " " .. other or ""), 3)
end

-- Each check raises an error that names both values.
return function(value)
  local checks = {}
  function checks.to_be(other)
    if not rawequal(value, other) and value ~= other then fail(value, "to be", show(other, 0)) end
  end
  function checks.to_equal(other)
    if not same(value, other, {}) then fail(value, "to equal", show(other, 0)) end
  end
  function checks.to_be_truthy()
    if not value then fail(value, "to be true") end
  end
  function checks.to_be_nil()
    if value ~= nil then fail(value, "to be nil") end
  end
  -- value is a function; pattern, if given, must be found in its error.
  function checks.to_fail(pattern)
    local ok, err = pcall(value)
    if ok then error("expected the function to fail", 2) end
    if pattern and not string.find(tostring(err), pattern) then
      error("expected an error with " .. show(pattern, 0) .. ", got " .. show(tostring(err), 0), 2)
    end
  end
  return checks
end
