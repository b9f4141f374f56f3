-- What the tests are: groups of groups and tests, with what runs around them.
local tree = {}

local function new_group(name)
  return { name = name, items = {}, before_each = {}, after_each = {}, before_all = {}, after_all = {} }
end

tree.root = new_group("")

local current = tree.root
local closed = false

-- From now on no tests can be added: they run.
function tree.close()
  closed = true
end

function tree.closed()
  return closed
end

local function check(what, value, kind)
  if closed then error(what .. ": tests are described before they run, not in one", 3) end
  if type(value) ~= kind then error(what .. ": a " .. kind .. " is expected, got " .. type(value), 3) end
end

function tree.describe(name, body)
  check("describe", name, "string")
  check("describe", body, "function")
  local outer, group = current, new_group(name)
  outer.items[#outer.items + 1] = group
  current = group
  body()
  current = outer
end

function tree.it(name, body)
  check("it", name, "string")
  if body ~= nil then check("it", body, "function") end
  current.items[#current.items + 1] = { name = name, body = body, test = true }
end

for _, hook in ipairs { "before_each", "after_each", "before_all", "after_all" } do
  tree[hook] = function(f)
    check(hook, f, "function")
    local list = current[hook]
    list[#list + 1] = f
  end
end

return tree
