-- snax services that are there once, their objects, and what their interface says without them.
local skynet = require "skynet"
local snax = require "snax"
local tools = require "lib.tools"

local mode = ...

if mode == "user" then
  skynet.start(function()
    local shop = snax.queryservice("snax/shop")
    skynet.dispatch("lua", function(_, _, thing) skynet.retpack(shop.req.buy(thing), shop.handle) end)
  end)
  return
end

skynet.start(function()
  assert(snax == require "skynet.snax")
  local users, found = {}, nil
  for i = 1, 3 do
    skynet.fork(function() users[i] = skynet.newservice(SERVICE_NAME, "user") end)
  end
  skynet.fork(function() found = snax.queryglobal("snax/shop") end)
  skynet.sleep(5)
  assert(#users == 0 and found == nil, "they wait for somebody to open the shop")

  local shop = snax.uniqueservice("snax/shop", { sword = 2, bow = 1 })
  tools.eventually(function() return users[1] and users[2] and users[3] and found end)
  assert(found == shop and snax.globalservice("snax/shop") == shop and snax.uniqueservice("snax/shop", { sword = 99 }) == shop)

  local left, handle = skynet.call(users[1], "lua", "sword")
  assert(left == 1 and handle == shop.handle)
  assert(skynet.call(users[2], "lua", "sword") == 0)
  assert(skynet.call(users[3], "lua", "sword") == nil)
  assert(shop.req.buy("bow") == 0)

  -- The interface: a script is read for it where no service of it is known.
  local i = snax.interface("snax/counter")
  assert(i.name == "snax/counter" and i.accept.add and i.response.get and not i.response.add and not i.accept.get)
  i = snax.interface("snax/shop")
  assert(i.response.price_of_bow, "methods that a loop over a module's table defines are known from the service")
  tools.fails("snax/nowhere", snax.interface, "snax/nowhere")

  -- self and exit are the service's own.
  assert(shop.req.self() == shop.handle)
  assert(shop.req.close("stock sold"))
  tools.eventually(function() return not pcall(shop.req.buy, "bow") end)
  print "ok"
end)
