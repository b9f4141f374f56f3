-- What scripts of tests check with.
function print() end -- the host's, as a value

local function same(a, b)
  if type(a) ~= "table" or type(b) ~= "table" then return a == b and type(a) == type(b) end
  local equal, n = true, 0
  for k, v in pairs(a) do equal, n = equal and same(v, b[k]), n + 1 end
  for _ in pairs(b) do n = n - 1 end
  return equal and n == 0
end

local function show(v)
  if type(v) == "string" then return string.format("%q", v) end
  if type(v) ~= "table" then return tostring(v) end
  local out = {}
  for k, x in pairs(v) do out[#out + 1] = "[" .. show(k) .. "]=" .. show(x) end
  return "{" .. table.concat(out, ",") .. "}"
end

-- equal(got, want): the same content.
function equal(got, want, what)
  if not same(got, want) then error((what or "") .. " got " .. show(got) .. ", want " .. show(want), 2) end
end

-- fails(text, f, ...): f raises an error with text in it.
function fails(text, f, ...)
  local ok, err = pcall(f, ...)
  if ok then error("no error, want one with: " .. text, 2) end
  if not tostring(err):find(text, 1, true) then error("the error is: " .. tostring(err) .. "; want: " .. text, 2) end
end

function unhex(s) return (s:gsub("%s", ""):gsub("..", function(h) return string.char(tonumber(h, 16)) end)) end
function hex(s) return (s:gsub(".", function(c) return string.format("%02x", c:byte()) end)) end
