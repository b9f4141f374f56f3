-- sharedata: prices that services read while another one changes them. What a service holds follows.
-- expect: handler failed
local skynet = require "skynet"
local sharedata = require "skynet.sharedata"
local tools = require "lib.tools"

local mode = ...

if mode == "reader" then
  skynet.start(function()
    local prices = sharedata.query "prices"
    local sword = prices.weapons.sword
    tools.serve {
      price = function() return prices.version, sword.gold, prices.weapons.sword.gold end,
      -- A reader that waits between two reads sees both of one version or the next, never a mix within one turn.
      watch = function(times)
        local mixed, versions, last = 0, 0, 0
        for _ = 1, times do
          local v = prices.version
          if sword.gold ~= v * 10 or #prices.list ~= v then mixed = mixed + 1 end
          if v ~= last then versions, last = versions + 1, v end
          skynet.sleep(1)
        end
        return mixed, versions
      end,
      sum = function()
        local n, keys = 0, 0
        for _, v in ipairs(prices.list) do n = n + v end
        for _ in pairs(prices.weapons) do keys = keys + 1 end
        return n, keys, #prices.list
      end,
      write = function() prices.version = 99 end,
    }
  end)
  return
end

local function prices(version)
  local list = {}
  for i = 1, version do list[i] = i * version end
  return { version = version, weapons = { sword = { gold = version * 10, tags = { "sharp", "long" } }, bow = { gold = 5 } }, list = list }
end

skynet.start(function()
  sharedata.new("prices", prices(1))
  tools.fails("", sharedata.new, "prices", prices(1))
  local readers = {}
  for i = 1, 4 do readers[i] = skynet.newservice(SERVICE_NAME, "reader") end
  for _, r in ipairs(readers) do
    local v, held, fresh = skynet.call(r, "lua", "price")
    assert(v == 1 and held == 10 and fresh == 10)
    tools.fails("", skynet.call, r, "lua", "write")
  end
  sharedata.update("prices", prices(2))
  for _, r in ipairs(readers) do
    local v, held, fresh = skynet.call(r, "lua", "price")
    assert(v == 2 and held == 20 and fresh == 20, "what was sent behind the update sees it")
    local sum, keys, n = skynet.call(r, "lua", "sum")
    assert(sum == 6 and keys == 2 and n == 2)
  end

  local watched = 0
  for _, r in ipairs(readers) do
    skynet.fork(function()
      local mixed, versions = skynet.call(r, "lua", "watch", 60)
      assert(mixed == 0 and versions >= 10, mixed .. " " .. versions)
      watched = watched + 1
    end)
  end
  for v = 3, 20 do
    skynet.sleep(3)
    sharedata.update("prices", prices(v))
  end
  tools.eventually(function() return watched == 4 end)

  -- A copy is a table like any other, and does not follow.
  local copy = sharedata.deepcopy("prices", "weapons", "sword")
  assert(copy.gold == 200 and copy.tags[2] == "long")
  copy.gold = 1
  sharedata.update("prices", prices(21))
  sharedata.flush()
  assert(sharedata.query("prices").weapons.sword.gold == 210 and copy.gold == 1)

  -- From text and from a file of the project.
  sharedata.new("text", "return { list = { ... } }", 4, 5)
  assert(sharedata.query("text").list[2] == 5)
  sharedata.new("file", "@config/items.lua")
  assert(sharedata.query("file").potion.heals == 30)
  sharedata.delete "text"
  assert(not pcall(sharedata.query, "text") or sharedata.query "text" == nil)
  print "ok"
end)
