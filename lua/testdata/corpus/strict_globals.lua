-- Studios' habits: globals that have to be declared, functions added to string and table, verbs that are wrapped, classes.
-- expect: undeclared global
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

local declared = {}

local function strict()
  setmetatable(_G, {
    __newindex = function(t, k, v)
      if not declared[k] then error("undeclared global " .. tostring(k), 2) end
      rawset(t, k, v)
    end,
    __index = function(_, k) error("undeclared global " .. tostring(k), 2) end,
  })
end

local function class(base)
  local c = setmetatable({}, { __index = base, __call = function(self, ...)
    local o = setmetatable({}, self)
    if self.init then self.init(o, ...) end
    return o
  end })
  c.__index = c
  return c
end

if mode == "counter" then
  strict()
  skynet.start(function()
    local n = 0
    tools.serve {
      add = function(by) n = n + by return n end,
      typo = function() return nn end,
      leak = function() leaked = 1 end,
    }
  end)
  return
end

skynet.start(function()
  strict()
  declared.score = true
  score = 5
  assert(score == 5)
  tools.fails("undeclared global socre", function() return socre end)

  local counter = skynet.newservice(SERVICE_NAME, "counter")
  assert(skynet.call(counter, "lua", "add", 3) == 3)
  tools.fails("undeclared global nn", skynet.call, counter, "lua", "typo")
  tools.fails("undeclared global leaked", skynet.call, counter, "lua", "leak")

  -- The library works where globals are strict.
  require "skynet.manager"
  local lock, cc = require "skynet.queue"(), require "skynet.coroutine"
  assert(lock(function() skynet.sleep(1) return 1 end) == 1)
  assert(cc.wrap(function() return 2 end)() == 2)
  for _, resp in skynet.request { counter, "lua", "add", 1 }:select(10) do assert(resp[1] == 4) end
  require("skynet.snax")
  require("log").info("fine", { n = 1 })

  function string.split(s, sep)
    local parts = {}
    for part in string.gmatch(s, "[^" .. sep .. "]+") do parts[#parts + 1] = part end
    return parts
  end
  function table.map(t, f)
    local r = {}
    for i, v in ipairs(t) do r[i] = f(v) end
    return r
  end
  assert(table.concat(table.map(("1,2,3"):split(","), function(s) return s * 2 end), " ") == "2 4 6")

  -- Verbs that are wrapped count what goes out, those that others call among it.
  local calls, plain = 0, skynet.call
  skynet.call = function(...)
    calls = calls + 1
    return plain(...)
  end
  assert(skynet.call(counter, "lua", "add", 1) == 5 and calls == 1)
  skynet.call = plain

  local Animal = class()
  function Animal:init(name) self.name = name end
  function Animal:speak() return self.name .. " says " .. self:sound() end
  local Dog = class(Animal)
  function Dog:sound() skynet.sleep(1) return "woof" end
  Dog.__eq = function(a, b) return a.name == b.name end
  Dog.__tostring = function(d) return "dog " .. d.name end
  Dog.__lt = function(a, b) return a.name < b.name end
  local rex, ace = Dog("rex"), Dog("ace")
  assert(rex:speak() == "rex says woof" and tostring(rex) == "dog rex" and ace < rex and rex == Dog("rex") and rex ~= ace)
  local pack = { rex, ace, Dog("moe") }
  table.sort(pack)
  assert(pack[1].name == "ace" and pack[3].name == "rex")
  print "ok"
end)
