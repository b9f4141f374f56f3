-- Timers: by their times, those of one time in the order in which they were made, and behind what the present handler does.
local skynet = require "skynet"
local tools = require "lib.tools"

skynet.start(function()
  local log = {}
  local function note(what) return function() log[#log + 1] = what end end

  for _, cs in ipairs { 30, 10, 20, 10, 0, 0 } do skynet.timeout(cs, note(cs .. "/" .. skynet.now())) end
  assert(#log == 0, "nothing runs before the handler waits")
  skynet.sleep(40)
  local times = {}
  for i, entry in ipairs(log) do times[i] = tonumber(string.match(entry, "^(%d+)/")) end
  assert(tools.equal(times, { 0, 0, 10, 10, 20, 30 }), table.concat(times, " "))

  -- The same time, made by different handlers.
  log = {}
  for i = 1, 50 do skynet.timeout(5, note(i)) end
  skynet.sleep(6)
  for i = 1, 50 do assert(log[i] == i) end

  -- A timer that makes the next: a clock of its own, which does not drift.
  local began, ticks = skynet.now(), {}
  local function tick()
    ticks[#ticks + 1] = skynet.now() - began
    if #ticks < 10 then skynet.timeout(7, tick) end
  end
  skynet.timeout(7, tick)
  skynet.sleep(75)
  for i = 1, 10 do assert(ticks[i] == 7 * i, i .. ": " .. ticks[i]) end

  -- A timer's function may wait, and fail, alone.
  local woke
  skynet.timeout(1, function() skynet.sleep(3) woke = skynet.now() end)
  skynet.timeout(2, function() assert(pcall(error, "x") == false) end)
  skynet.sleep(5)
  assert(woke)

  -- Sleeps of no time let what is due run, once each.
  local n = 0
  skynet.fork(function() for _ = 1, 10 do n = n + 1 skynet.yield() end end)
  for i = 1, 10 do
    skynet.yield()
    assert(n >= i - 1 and n <= i + 1, n)
  end
  assert(skynet.time() > 946684800 and skynet.starttime() <= skynet.time())
  print "ok"
end)
