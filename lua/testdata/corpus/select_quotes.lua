-- A merchant asks several shops for a price and takes what comes in time.
-- expect: out of stock
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, patience, price = ...

if mode == "shop" then
  skynet.start(function()
    tools.serve {
      price = function(thing)
        skynet.sleep(patience)
        if price < 0 then error("out of stock: " .. thing) end
        return price, thing
      end,
    }
  end)
  return
end

local function shop(...) return skynet.newservice(SERVICE_NAME, "shop", ...) end

skynet.start(function()
  local cheap, fast, broken, slow = shop(20, 7), shop(1, 12), shop(3, -1), shop(500, 1)

  -- Answers come as they are ready, whatever the order of the requests.
  local order, best = {}, nil
  for req, resp, err in skynet.request { cheap, "lua", "price", "sword", name = "cheap" } { fast, "lua", "price", "sword", name = "fast" }
    { broken, "lua", "price", "sword", name = "broken" }:select() do
    order[#order + 1] = req.name
    if resp then
      assert(resp[2] == "sword")
      best = math.min(best or resp[1], resp[1])
    else
      assert(req.name == "broken" and string.find(tostring(err), "out of stock: sword", 1, true))
    end
  end
  assert(table.concat(order, " ") == "fast broken cheap", table.concat(order, " "))
  assert(best == 7)

  -- What is late is left out, and told by the field timeout.
  local requests = skynet.request()
  requests:add { cheap, "lua", "price", "bow", name = "cheap" }
  requests:add { slow, "lua", "price", "bow", name = "slow" }
  local got = {}
  local began = skynet.now()
  for req, resp in requests:select(100) do got[req.name] = resp and resp[1] end
  assert(got.cheap == 7 and got.slow == nil and requests.timeout == true)
  assert(skynet.now() - began == 100)

  -- A shop that is not there (any more) fails its own request only.
  skynet.kill(fast)
  local failed, fine = 0, 0
  for _, resp in skynet.request { fast, "lua", "price", "hat" } { cheap, "lua", "price", "hat" }:select(200) do
    if resp then fine = fine + 1 else failed = failed + 1 end
  end
  assert(failed == 1 and fine == 1)

  -- One who has enough leaves the loop.
  local first
  for _, resp in skynet.request { cheap, "lua", "price", "axe" } { slow, "lua", "price", "axe" }:select(50) do
    first = resp[1]
    break
  end
  assert(first == 7)
  print "ok"
end)
