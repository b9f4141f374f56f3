-- Names of services: registered by themselves and by others, taken, free again, and in place of addresses everywhere.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, name = ...

if mode == "named" then
  skynet.start(function()
    if name then skynet.register(name) end
    local seen = 0
    tools.serve {
      who = function() return skynet.self(), name end,
      post = function() seen = seen + 1 end,
      seen = function() return seen end,
      exit = function() skynet.exit() end,
    }
  end)
  return
end

skynet.start(function()
  local rank = skynet.newservice(SERVICE_NAME, "named", ".rank")
  assert(skynet.localname(".rank") == rank)
  local address, own = skynet.call(".rank", "lua", "who")
  assert(address == rank and own == ".rank")
  for _ = 1, 3 do skynet.send(".rank", "lua", "post") end
  assert(skynet.call(".rank", "lua", "seen") == 3)
  assert(skynet.call(skynet.address(rank), "lua", "seen") == 3)
  assert(skynet.address(rank) == string.format(":%08x", rank))

  local mail = skynet.newservice(SERVICE_NAME, "named")
  skynet.name(".mail", mail)
  skynet.name(".post_office", mail)
  assert(skynet.localname(".mail") == mail and skynet.call(".post_office", "lua", "who") == mail)

  -- A name belongs to who has it, until that ends.
  assert(not pcall(skynet.name, ".rank", mail))
  pcall(skynet.call, ".rank", "lua", "exit")
  tools.eventually(function() return skynet.localname(".rank") == nil end)
  tools.fails("rank", skynet.call, ".rank", "lua", "who")
  skynet.name(".rank", mail)
  assert(skynet.call(".rank", "lua", "who") == mail)

  -- In requests, redirects and raw calls.
  for _, resp in skynet.request { ".mail", "lua", "who" }:select() do assert(resp[1] == mail) end
  assert(skynet.unpack(skynet.rawcall(".mail", "lua", skynet.pack("who"))) == mail)
  skynet.redirect(".mail", skynet.self(), "lua", 0, skynet.pack("post"))
  assert(skynet.call(".mail", "lua", "seen") == 1)
  assert(skynet.localname(".nobody") == nil)
  tools.fails("nobody", skynet.send, ".nobody", "lua")
  assert(skynet.harbor(mail) == 0)
  print "ok"
end)
