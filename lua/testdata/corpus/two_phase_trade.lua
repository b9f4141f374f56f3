-- Exchanges between players' agents in two phases: both lock, both commit, or neither. Some agents refuse, and some die in between.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, gold, temper = ...

if mode == "agent" then
  skynet.start(function()
    local locked
    tools.serve {
      lock = function(amount)
        skynet.sleep(1)
        if temper == "fragile" then skynet.exit() end
        if locked then return false, "busy" end
        if gold < amount then return false, "poor" end
        locked = amount
        return true
      end,
      commit = function(other_pays)
        gold, locked = gold - locked + other_pays, nil
        return gold
      end,
      unlock = function() locked = nil end,
      gold = function() return gold, locked end,
    }
  end)
  return
end

local function agent(...) return skynet.newservice(SERVICE_NAME, "agent", ...) end

-- Swaps amounts; gives true, or false and why.
local function trade(a, pays_a, b, pays_b)
  local sides = { { a, pays_a }, { b, pays_b } }
  local locked, why = {}, nil
  for req, resp in skynet.request { a, "lua", "lock", pays_a, side = 1 } { b, "lua", "lock", pays_b, side = 2 }:select(100) do
    if resp and resp[1] then
      locked[req.side] = true
    else
      why = resp and resp[2] or "gone"
    end
  end
  if locked[1] and locked[2] then
    skynet.call(a, "lua", "commit", pays_b)
    skynet.call(b, "lua", "commit", pays_a)
    return true
  end
  for side in pairs(locked) do skynet.call(sides[side][1], "lua", "unlock") end
  return false, why or "late"
end

skynet.start(function()
  local ann, bob, cat = agent(100), agent(50), agent(10, "fragile")
  local function gold(a) return (skynet.call(a, "lua", "gold")) end

  assert(trade(ann, 30, bob, 5))
  assert(gold(ann) == 75 and gold(bob) == 75)
  local ok, why = trade(ann, 500, bob, 5)
  assert(not ok and why == "poor" and gold(bob) == 75 and select(2, skynet.call(bob, "lua", "gold")) == nil)
  ok, why = trade(ann, 1, cat, 1)
  assert(not ok and why == "gone" and gold(ann) == 75)
  assert(select(2, skynet.call(ann, "lua", "gold")) == nil, "the lock is off")

  -- Many at once between few: who comes too late is busy, and no gold is made or lost.
  local traders, won, lost, done = { ann, bob, agent(100), agent(100) }, 0, 0, 0
  for i = 1, 24 do
    skynet.fork(function()
      skynet.sleep(i % 7)
      local a, b = traders[i % 4 + 1], traders[(i * 3 + 1) % 4 + 1]
      if a ~= b and trade(a, i % 5, b, i % 3) then won = won + 1 else lost = lost + 1 end
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 24 end)
  local sum = 0
  for _, t in ipairs(traders) do
    local g, lock = skynet.call(t, "lua", "gold")
    assert(lock == nil)
    sum = sum + g
  end
  assert(sum == 350 and won > 0 and won + lost == 24, sum)
  print "ok"
end)
