-- What clients send is checked here. Each function gives the value, or nil and an error that says what was expected.
local M = {}

local function bad(key, expected, value)
  local got = type(value)
  if got == "number" or got == "boolean" then got = tostring(value) end
  return nil, { code = "bad_request", msg = key .. ": " .. expected .. " is expected, got " .. got }
end

local function field(request, key)
  if type(request) == "table" then return request[key] end
end

function M.integer(request, key, low, high)
  local v = field(request, key)
  local n = type(v) == "number" and math.tointeger(v)
  if not n or n < low or n > high then
    return bad(key, ("an integer from %d to %d"):format(low, high), v)
  end
  return n
end

-- Text for others to read: UTF-8, on one line, not empty, with at most `longest` characters.
function M.text(request, key, longest)
  local expected = ("a text of 1 to %d characters"):format(longest)
  local v = field(request, key)
  if type(v) ~= "string" then return bad(key, expected, v) end
  -- The length in bytes first: nobody gets to make us look at a megabyte. A character has at most 4.
  if #v > 4 * longest then
    return nil, { code = "bad_request", msg = ("%s: %s is expected, got %d bytes"):format(key, expected, #v) }
  end
  local length = utf8.len(v)
  if not length then return nil, { code = "bad_request", msg = key .. ": UTF-8 is expected" } end
  v = v:gsub("%c", " "):gsub("^ +", ""):gsub(" +$", "")
  if v == "" then return nil, { code = "bad_request", msg = key .. ": " .. expected .. " is expected, got nothing" } end
  if length > longest then
    return nil, { code = "bad_request", msg = ("%s: %s is expected, got %d"):format(key, expected, length) }
  end
  return v
end

return M
