-- A token bucket in the service's own time, and a sliding window of requests.
local skynet = require "skynet"
local tools = require "lib.tools"

local function bucket(rate, burst)
  local tokens, last = burst, skynet.now()
  return function(n)
    local now = skynet.now()
    tokens = math.min(burst, tokens + (now - last) * rate / 100)
    last = now
    if tokens < n then return false, (n - tokens) * 100 / rate end
    tokens = tokens - n
    return true
  end
end

local function window(limit, span)
  local times, first = {}, 1
  return function()
    local now = skynet.now()
    while times[first] and times[first] <= now - span do
      times[first] = nil
      first = first + 1
    end
    if #times - first + 1 >= limit and times[first] then return false end
    times[math.max(#times, first - 1) + 1] = now
    return true
  end
end

skynet.start(function()
  local take = bucket(10, 5) -- 10 a second, 5 at once
  local allowed = 0
  for _ = 1, 8 do
    if take(1) then allowed = allowed + 1 end
  end
  assert(allowed == 5)
  local ok, wait = take(1)
  assert(not ok and wait == 10)
  skynet.sleep(wait)
  assert(take(1) and not take(1))
  skynet.sleep(1000)
  allowed = 0
  for _ = 1, 50 do
    if take(1) then allowed = allowed + 1 end
    skynet.sleep(5)
  end
  assert(allowed >= 29 and allowed <= 30, allowed)

  -- Those who may not wait, those who may do: a queue of sleepers.
  local slow, order = bucket(50, 1), {}
  for i = 1, 10 do
    skynet.fork(function()
      while true do
        local fine, cs = slow(1)
        if fine then break end
        skynet.sleep(cs)
      end
      order[#order + 1] = i
    end)
  end
  tools.eventually(function() return #order == 10 end)
  table.sort(order)
  for i = 1, 10 do assert(order[i] == i) end

  local request = window(3, 20)
  local answers = {}
  for i = 1, 12 do
    answers[i] = request() and 1 or 0
    skynet.sleep(5)
  end
  assert(table.concat(answers) == "111011101110", table.concat(answers))
  print "ok"
end)
