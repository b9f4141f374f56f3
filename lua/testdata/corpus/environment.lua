-- skynet.getenv and setenv: what the node is told, and what services leave there once for all.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, key, value = ...

if mode == "setter" then
  skynet.start(function()
    local ok = pcall(skynet.setenv, key, value)
    skynet.dispatch("lua", function() skynet.retpack(ok, skynet.getenv(key), _G.leaked) end)
  end)
  return
end

skynet.start(function()
  assert(skynet.getenv "corpus" == "yes" and skynet.getenv "missing" == nil)
  skynet.setenv("season", 3)
  assert(skynet.getenv "season" == "3")
  tools.fails("season", skynet.setenv, "season", 4)
  leaked = "a global of this service"
  local first = skynet.newservice(SERVICE_NAME, "setter", "color", "red")
  local second = skynet.newservice(SERVICE_NAME, "setter", "color", "blue")
  local ok, color, seen = skynet.call(first, "lua")
  assert(ok and color == "red" and seen == nil, "globals are each service's own")
  ok, color = skynet.call(second, "lua")
  assert(not ok and color == "red" and skynet.getenv "color" == "red")
  assert(SERVICE_NAME == "environment")
  assert(os.execute == nil and io == nil and loadlib == nil and (not package or package.loadlib == nil))
  assert(type(os.time()) == "number" and type(os.date "%Y") == "string" and os.clock() >= 0)
  print "ok"
end)
