-- Buffs of players run out by thousands of timers, most of which are cancelled before.
local skynet = require "skynet"

skynet.start(function()
  local expired, buffs = 0, {}
  local n = 6000
  for i = 1, n do
    buffs[i] = skynet.timeout(100 + i % 400, function()
      expired = expired + 1
      buffs[i] = nil
    end)
    assert(type(buffs[i]) == "thread")
  end
  -- Two of three are taken off at once ...
  for i = 1, n do
    if i % 3 ~= 0 then
      assert(skynet.killthread(buffs[i]) == buffs[i])
      buffs[i] = nil
    end
  end
  assert(skynet.task() < n, "what is cancelled is not counted")
  skynet.sleep(300)
  local by_then = expired
  assert(by_then > 0 and by_then < n / 3, by_then)
  -- ... and half of the rest while others run out.
  local taken = 0
  for i, thread in pairs(buffs) do
    if i % 2 == 0 then
      assert(skynet.killthread(thread))
      buffs[i] = nil
      taken = taken + 1
    end
  end
  skynet.sleep(400)
  assert(expired == n / 3 - taken, expired)
  assert(next(buffs) == nil)
  assert(skynet.task() == 0, skynet.task())
  print "ok"
end)
