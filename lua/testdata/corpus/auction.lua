-- An auction: each bid in the last second puts the end off; bidders wait for the result in their calls; the loser gets its gold back.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "house" then
  skynet.start(function()
    local lots = {}

    local function close(lot)
      lot.closed = true
      for bidder, answer in pairs(lot.waiting) do
        answer(true, bidder == lot.leader and "won" or "lost", lot.price)
      end
      lot.sold_at = skynet.now()
    end

    local function arm(lot, cs)
      if lot.timer then skynet.killthread(lot.timer) end
      lot.ends = skynet.now() + cs
      lot.timer = skynet.timeout(cs, function()
        lot.timer = nil
        close(lot)
      end)
    end

    local command = {}
    function command.open(id, price, cs)
      lots[id] = { price = price, waiting = {}, opened = skynet.now() }
      arm(lots[id], cs)
      return true
    end
    function command.bid(id, bidder, amount)
      local lot = lots[id]
      if lot.closed then return false, "closed" end
      if amount <= lot.price then return false, "too low" end
      lot.price, lot.leader = amount, bidder
      if lot.ends - skynet.now() < 100 then arm(lot, 100) end
      return true, lot.price
    end
    function command.lasted(id) return lots[id].sold_at - lots[id].opened end
    skynet.dispatch("lua", function(_, _, name, id, bidder, ...)
      if name == "result" then
        lots[id].waiting[bidder] = skynet.response()
        return
      end
      skynet.retpack(command[name](id, bidder, ...))
    end)
  end)
  return
end

skynet.start(function()
  local house = skynet.newservice(SERVICE_NAME, "house")
  skynet.call(house, "lua", "open", "sword", 10, 300)
  local results = {}
  local function bidder(name, limit, pause)
    skynet.fork(function()
      local price = 10
      skynet.fork(function() results[name] = { skynet.call_timeout(10000, house, "lua", "result", "sword", name) } end)
      while true do
        skynet.sleep(pause)
        local ok, what = skynet.call(house, "lua", "bid", "sword", name, price + 10)
        if ok then price = what elseif what == "closed" then return else price = price + 10 end
        if price >= limit then return end
      end
    end)
  end
  bidder("ann", 100, 70)
  bidder("bob", 150, 60)
  bidder("cat", 30, 45)
  tools.eventually(function() return results.ann and results.bob and results.cat end)
  assert(results.bob[1] == "won" and results.ann[1] == "lost" and results.cat[1] == "lost")
  assert(results.bob[2] >= 100 and results.bob[2] <= 150 and results.ann[2] == results.bob[2])
  local lasted = skynet.call(house, "lua", "lasted", "sword")
  assert(lasted > 300, "bids at the end have put it off: " .. lasted)
  local ok, why = skynet.call(house, "lua", "bid", "sword", "dan", 9999)
  assert(not ok and why == "closed")
  print "ok"
end)
