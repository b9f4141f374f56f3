-- Ids of 64 bits, flags in bits, and what becomes of integers and floats on their way.
-- only: lua54
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "registry" then
  skynet.start(function()
    local by_id = {}
    tools.serve {
      put = function(id, v) by_id[id] = v end,
      get = function(id) return by_id[id] end,
      echo = function(...) return ... end,
      next = function(id) return id + 1 end,
      flags = function(a, b) return a | b, a & b, a ~ b, ~a, a << 4, a >> 4 end,
    }
  end)
  return
end

skynet.start(function()
  local registry = skynet.newservice(SERVICE_NAME, "registry")
  local function echo(v) return skynet.call(registry, "lua", "echo", v) end

  local ids = { math.maxinteger, math.mininteger, 2 ^ 53 | 0, (1 << 53) + 1, (1 << 62) + 12345, -((1 << 53) + 1), 0, -1, 1 << 31, 1 << 32, (1 << 32) - 1 }
  for i, id in ipairs(ids) do
    assert(math.type(id) == "integer")
    skynet.call(registry, "lua", "put", id, i)
    local back = echo(id)
    assert(back == id and math.type(back) == "integer", id)
    assert(skynet.unpack(skynet.packstring(id)) == id)
    assert(math.type(skynet.unpack(skynet.pack(id))) == "integer")
  end
  for i, id in ipairs(ids) do assert(skynet.call(registry, "lua", "get", id) == i) end
  assert(skynet.call(registry, "lua", "get", (1 << 53)) == 3 and skynet.call(registry, "lua", "get", (1 << 53) + 1) == 4)

  -- As keys of tables, too.
  local map = {}
  for i, id in ipairs(ids) do map[id] = i end
  local back = echo(map)
  for i, id in ipairs(ids) do assert(back[id] == i) end

  -- Floats stay floats, and an integer's float is its own value.
  for _, f in ipairs { 1.0, -0.0, 2.0 ^ 53, 1e15, 0.1 } do
    local got = echo(f)
    assert(got == f and math.type(got) == "float")
  end
  assert(1 / echo(-0.0) == -math.huge)
  assert(tostring(echo(3.0)) == "3.0" and tostring(echo(3)) == "3")

  assert(skynet.call(registry, "lua", "next", math.maxinteger) == math.mininteger)
  local a, b, c, d, e, f = skynet.call(registry, "lua", "flags", 0x0ff0, 0x00ff)
  assert(a == 0x0fff and b == 0x00f0 and c == 0x0f0f and d == ~0x0ff0 and e == 0xff00 and f == 0x00ff)
  assert(9007199254740993 // 2 == 4503599627370496 and 7 // -2 == -4 and 7 % -3 == -2)
  assert(string.format("%d", echo(9007199254740993)) == "9007199254740993")
  assert(math.tointeger(echo("x")) == nil and tostring(echo(math.mininteger)) == "-9223372036854775808")
  print "ok"
end)
