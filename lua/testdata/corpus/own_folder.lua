-- A service that is a folder, NAME/init.lua, finds the modules in it by their own names, before others; other services do not.
local skynet = require "skynet"
local tools = require "lib.tools"

skynet.start(function()
  local shop = skynet.newservice "shopping"
  assert(skynet.call(shop, "lua", "price", "sword") == 10)
  local a, b = skynet.call(shop, "lua", "later")
  assert(a == "its own" and b == "its own")
  assert(skynet.call(shop, "lua", "same"))
  tools.fails('no script "prices"', require, "prices")
  assert(require "shopping.later".name == "its own")
  print "ok"
end)
