-- Functions that note their calls.
local calls = {}

-- The calls of each, oldest first.
local of = setmetatable({}, { __mode = "k" })

-- A function that notes its calls, and the list of these.
function calls.spy(f)
  if f ~= nil and type(f) ~= "function" then error("spy: a function is expected, got " .. type(f), 2) end
  local list = {}
  local function noted(...)
    list[#list + 1] = { n = select("#", ...), ... }
    if f then return f(...) end
  end
  of[noted] = list
  return noted, list
end

-- The calls of a function that spy has made, nil for others.
function calls.of(f)
  return of[f]
end

return calls
