-- A monitor that ends what is silent: services report by themselves, one of them stops doing so, one dies, and the list follows.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, center, name, silent_after = ...

if mode == "worker" then
  skynet.start(function()
    local beats = 0
    skynet.fork(function()
      while true do
        beats = beats + 1
        if beats > silent_after then skynet.wait() end
        skynet.send(center, "lua", "beat", name, skynet.self())
        skynet.sleep(100)
      end
    end)
    tools.serve { beats = function() return beats end }
  end)
  return
end

skynet.start(function()
  local seen, lost = {}, {}
  tools.serve {
    beat = function(who, address) seen[who] = { at = skynet.now(), address = address } end,
  }
  skynet.fork(function()
    while true do
      skynet.sleep(50)
      for who, last in pairs(seen) do
        if skynet.now() - last.at > 250 then
          seen[who] = nil
          lost[who] = skynet.now()
          skynet.kill(last.address)
        end
      end
    end
  end)
  local workers = {}
  for who, beats in pairs { steady = 1000, sleepy = 3, faint = 8 } do
    workers[who] = skynet.newservice(SERVICE_NAME, "worker", skynet.self(), who, beats)
  end
  skynet.sleep(200)
  assert(seen.steady and seen.sleepy and seen.faint and next(lost) == nil)
  skynet.sleep(400)
  assert(lost.sleepy and not lost.faint and not seen.sleepy)
  assert(lost.sleepy >= 450 and lost.sleepy <= 560, lost.sleepy)
  tools.fails("", skynet.call, workers.sleepy, "lua", "beats")
  assert(skynet.call(workers.faint, "lua", "beats") >= 6)
  skynet.kill(workers.steady)
  skynet.sleep(600)
  assert(lost.faint and lost.steady and next(seen) == nil)
  print "ok"
end)
