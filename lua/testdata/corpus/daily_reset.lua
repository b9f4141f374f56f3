-- Quests that reset at five in the morning, from skynet.time, whatever the service does in between.
local skynet = require "skynet"

local day, hour = 24 * 3600, 3600

local function next_reset(now)
  local today = math.floor(now / day) * day + 5 * hour
  return now < today and today or today + day
end

local function main()
  local resets, points = {}, 0
  local function arm()
    local left = next_reset(skynet.time()) - skynet.time()
    skynet.timeout(math.ceil(left * 100), function()
      resets[#resets + 1] = skynet.time()
      points = 0
      arm()
    end)
  end
  arm()
  for i = 1, 5 do
    skynet.fork(function()
      for _ = 1, 4 do
        skynet.sleep(i * 100)
        points = points + i
      end
    end)
  end
  skynet.sleep(2500)
  assert(points == 4 * 15)
  skynet.sleep(3 * 24 * 3600 * 100)
  assert(#resets == 3, #resets)
  for i, at in ipairs(resets) do
    assert(os.date("!%H:%M:%S", math.floor(at + 0.5)) == "05:00:00", os.date("!%H:%M:%S", math.floor(at)))
    if i > 1 then assert(math.abs(at - resets[i - 1] - day) < 1) end
  end
  assert(points == 0)
  assert(math.abs(skynet.starttime() + skynet.now() / 100 - skynet.time()) < 1)
  print "ok"
end

skynet.start(function() skynet.fork(main) end)
