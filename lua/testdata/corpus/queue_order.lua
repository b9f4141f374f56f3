-- skynet.queue: first come, first served; calls within calls; what fails in it leaves it usable; results with holes.
local skynet = require "skynet"
local queue = require "skynet.queue"
local tools = require "lib.tools"

local function in_order()
  local lock, order, done = queue(), {}, {}
  for i = 1, 8 do
    skynet.fork(function()
      lock(function()
        order[#order + 1] = "in " .. i
        skynet.sleep(9 - i)
        order[#order + 1] = "out " .. i
      end)
      done[#done + 1] = i
    end)
  end
  tools.eventually(function() return #done == 8 end)
  for i = 1, 8 do
    assert(order[2 * i - 1] == "in " .. i and order[2 * i] == "out " .. i)
    assert(done[i] == i)
  end
end

local function reentrant()
  local lock = queue()
  local log = {}
  skynet.fork(function()
    lock(function() log[#log + 1] = "other" end)
  end)
  local depth = 0
  local function down(n)
    depth = depth + 1
    if n == 0 then
      skynet.sleep(3)
      log[#log + 1] = "bottom"
      return "end", nil, n
    end
    return lock(down, n - 1)
  end
  local a, b, c = lock(down, 10)
  log[#log + 1] = "back"
  assert(a == "end" and b == nil and c == 0 and depth == 11)
  skynet.sleep(0)
  assert(table.concat(log, " ") == "bottom back other" or table.concat(log, " ") == "bottom other back", table.concat(log, " "))
end

local function failing()
  local lock = queue()
  local results = {}
  for i = 1, 6 do
    skynet.fork(function()
      local ok, err = pcall(lock, function()
        skynet.sleep(1)
        if i % 2 == 0 then error({ number = i }) end
        return i
      end)
      results[i] = ok and err or -err.number
    end)
  end
  tools.eventually(function() return results[6] end)
  assert(tools.equal(results, { 1, -2, 3, -4, 5, -6 }))
  -- An error below a call within a call unwinds both.
  tools.fails("deep", lock, function() lock(function() lock(error, "deep") end) end)
  assert(lock(function() return "usable" end) == "usable")
end

local function values()
  local lock = queue()
  assert(select("#", lock(function(...) return ... end)) == 0)
  assert(select("#", lock(function(...) return ... end, nil, 2, nil)) == 3)
  assert(select(2, lock(function(...) return ... end, nil, 2, nil)) == 2)
end

local function several()
  -- Two queues do not know each other.
  local a, b, log = queue(), queue(), {}
  skynet.fork(a, function() skynet.sleep(5) log[#log + 1] = "a" end)
  skynet.fork(b, function() skynet.sleep(2) log[#log + 1] = "b" end)
  skynet.sleep(0)
  a(function() log[#log + 1] = "a again" end)
  assert(table.concat(log, ",") == "b,a,a again", table.concat(log, ","))
end

skynet.start(function()
  in_order()
  reentrant()
  failing()
  values()
  several()
  print "ok"
end)
