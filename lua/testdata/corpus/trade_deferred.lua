-- Two players trade: each offer is a call that is answered when the other side has made up its mind. The answers are kept in between.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "market" then
  skynet.start(function()
    local offers = {}
    local function settle(id, ...)
      local r = offers[id]
      offers[id] = nil
      return r and r(...)
    end
    skynet.dispatch("lua", function(session, source, command, id, ...)
      if command == "offer" then
        if offers[id] then error("offer " .. id .. " is there already") end
        offers[id] = skynet.response()
        skynet.timeout(200, function() settle(id, true, "expired") end)
      elseif command == "accept" then
        skynet.retpack(settle(id, true, "accepted", source, ...))
      elseif command == "refuse" then
        skynet.retpack(settle(id, false))
      elseif command == "open" then
        local open = 0
        for _, r in pairs(offers) do
          if r("TEST") then open = open + 1 end
        end
        skynet.retpack(open)
      elseif command == "chat" then
        assert(session == 0)
      end
    end)
  end)
  return
end

skynet.start(function()
  local market = skynet.newservice(SERVICE_NAME, "market")
  local got = {}
  local function offer(id)
    skynet.fork(function() got[id] = { pcall(skynet.call, market, "lua", "offer", id) } end)
  end
  for id = 1, 4 do offer(id) end
  skynet.sleep(1)
  assert(skynet.call(market, "lua", "open") == 4)

  assert(skynet.call(market, "lua", "accept", 2, { gold = 5 }) == true)
  assert(skynet.call(market, "lua", "refuse", 3) == true)
  assert(skynet.call(market, "lua", "accept", 9) == nil)
  skynet.sleep(1)
  assert(got[2][1] and got[2][2] == "accepted" and got[2][3] == skynet.self() and got[2][4].gold == 5)
  assert(got[3][1] == false)
  assert(not got[1] and not got[4])
  assert(skynet.call(market, "lua", "open") == 2)

  skynet.send(market, "lua", "chat")
  skynet.sleep(250)
  assert(got[1][2] == "expired" and got[4][2] == "expired")
  assert(skynet.call(market, "lua", "open") == 0)

  -- Whoever has given up is not answered: TEST tells, and so does the answer.
  tools.fails("", skynet.call_timeout, 5, market, "lua", "offer", "late")
  assert(skynet.call(market, "lua", "open") == 0)
  assert(skynet.call(market, "lua", "accept", "late") == false)
  print "ok"
end)
