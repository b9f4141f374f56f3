-- The log with levels and fields, in a service of many.
-- expect: level=WARN msg="low on gold"
-- expect: level=ERROR msg="the vault is 3 short"
local skynet = require "skynet"
local log = require "log"
local tools = require "lib.tools"

local mode = ...

if mode == "shop" then
  skynet.start(function()
    local sold = 0
    tools.serve {
      buy = function(player, price)
        sold = sold + 1
        log.info("sold", { player = player, price = price, to = { x = 1.5, y = -2 }, first = sold == 1 })
        if price > 50 then log.warn("low on gold", { player = player, left = 100 - price }) end
        log.debug("never %s", "seen")
        return sold
      end,
    }
  end)
  return
end

skynet.start(function()
  local shop = skynet.newservice(SERVICE_NAME, "shop")
  assert(skynet.call(shop, "lua", "buy", "ann", 5) == 1)
  assert(skynet.call(shop, "lua", "buy", "bob", 70) == 2)
  log.error("the vault is %d short", 3)
  log.info("%d%% done", 50)
  log.info("100% done")
  log.info(nil)
  assert(log.enabled "info" and not log.enabled "debug")
  tools.fails("log.info", log.info)
  tools.fails("name of a field", log.info, "x", { [{}] = 1 })
  assert(not pcall(log.info, "%d", "no number"))
  print "ok"
end)
