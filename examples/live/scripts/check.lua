-- What pages send is checked here. Each function gives the value, or nil and an error that says what was expected.
local M = {}

local function bad(key, expected)
  return nil, { code = "bad_request", msg = ("%s: %s is expected"):format(key, expected) }
end

local function field(request, key)
  if type(request) == "table" then return request[key] end
end

-- Text for others to read: UTF-8, on one line, not empty, with at most `longest` characters.
function M.text(request, key, longest)
  local expected = ("a text of 1 to %d characters"):format(longest)
  local text = field(request, key)
  -- The length in bytes first: nobody gets to make us look at a megabyte. A character has at most 4.
  if type(text) ~= "string" or #text > 4 * longest then return bad(key, expected) end
  local length = utf8.len(text)
  if not length or length > longest then return bad(key, expected) end
  text = text:gsub("%c", " "):gsub("^ +", ""):gsub(" +$", "")
  if text == "" then return bad(key, expected) end
  return text
end

function M.room(request)
  local name = field(request, "room")
  if type(name) ~= "string" or #name > 64 or not name:find("^%w[%w_-]*$") then return bad("room", "the name of a room") end
  return name
end

function M.who(request)
  local id = field(request, "who")
  if type(id) ~= "string" or #id > 128 then return bad("who", "the id of a member") end
  return id
end

function M.one_of(request, key, ...)
  local value = field(request, key)
  for _, good in ipairs { ... } do
    if value == good then return value end
  end
  return bad(key, table.concat({ ... }, " or "))
end

return M
