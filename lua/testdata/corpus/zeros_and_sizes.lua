-- Strings with zeros, empty ones, large ones, as values and as keys; tables of odd shapes. They arrive as they were.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "mirror" then
  skynet.start(function()
    skynet.dispatch("lua", function(_, _, ...) skynet.retpack(...) end)
  end)
  return
end

local function all_bytes()
  local t = {}
  for i = 0, 255 do t[#t + 1] = string.char(i) end
  return table.concat(t)
end

skynet.start(function()
  local mirror = skynet.newservice(SERVICE_NAME, "mirror")
  local sword, zero = "sw\0rd", "\0"
  local cases = {
    "", zero, "a\0", "\0a", "a\0b", sword, all_bytes(), string.rep("x", 31), string.rep("x", 32), string.rep("x", 65535), string.rep("\0", 70000),
    { [zero] = 1, [""] = 2, ["a\0b"] = 3, ["a"] = 4, ["a\0"] = 5 },
    { 1, 2, nil, 4 }, { [1] = "a", [3] = "c", [1000000] = "far" }, { [-1] = "minus", [0] = "zero", [0.5] = "half" }, { [true] = 1, [false] = 0 },
    {}, { {} }, { { {} }, {} }, { a = {}, b = { {} } },
    0, -0.5, 1e300, -1e-300, 2 ^ 31, -2 ^ 31, 2 ^ 32, 2 ^ 52, 255, 256, 65535, 65536, -1, -256, 1 / 3, true, false,
  }
  for i, case in ipairs(cases) do
    local back = skynet.call(mirror, "lua", case)
    assert(tools.equal(back, case), "case " .. i)
    assert(tools.equal(skynet.unpack(skynet.packstring(case)), case), "packed case " .. i)
    assert(tools.equal(skynet.unpack(skynet.pack(case)), case))
  end
  local inf = math.huge
  assert(skynet.call(mirror, "lua", inf) == inf and skynet.call(mirror, "lua", -inf) == -inf)
  local nan = skynet.call(mirror, "lua", 0 / 0)
  assert(nan ~= nan)

  -- Several at once, nil among them.
  local function count(...) return select("#", ...) end
  assert(count(skynet.call(mirror, "lua")) == 0)
  assert(count(skynet.call(mirror, "lua", nil)) == 1)
  assert(count(skynet.call(mirror, "lua", nil, sword, nil, nil)) == 4)
  local many = {}
  for i = 1, 200 do many[i] = i end
  assert(count(skynet.call(mirror, "lua", (table.unpack or unpack)(many))) == 200)

  -- A large table of records.
  local rank = {}
  for i = 1, 2000 do rank[i] = { id = i, name = "player\0" .. i, score = i * 1.5, tags = { "a", i } } end
  assert(tools.equal(skynet.call(mirror, "lua", rank), rank))

  -- It is a copy: nobody else's table changes.
  local mine = { list = { 1 } }
  local theirs = skynet.call(mirror, "lua", mine)
  theirs.list[1] = 2
  assert(mine.list[1] == 1)

  -- What can't be sent says where it is.
  tools.fails("argument 2", skynet.call, mirror, "lua", 1, print)
  local circle = {}
  circle.me = circle
  tools.fails("", skynet.call, mirror, "lua", circle)
  tools.fails("", skynet.pack, coroutine.running())
  print "ok"
end)
