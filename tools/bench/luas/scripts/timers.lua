-- Starts timers.
local skynet = require "skynet"

local CMD = {}
local fired = 0

-- n timers that are due between five and fifteen minutes from now.
function CMD.create(n)
  for i = 1, n do
    skynet.timeout(30000 + i % 60000, function()
      fired = fired + 1
    end)
  end
end

-- n timers that are due at the same moment, two seconds from now; returns by how many seconds the last one ran behind that.
function CMD.burst(n)
  local begun, done = skynet.hpc(), {}
  for _ = 1, n do
    skynet.timeout(200 - (skynet.hpc() - begun) / 1e7, function()
      fired = fired + 1
      if fired == n then
        skynet.wakeup(done)
      end
    end)
  end
  skynet.wait(done)
  return (skynet.hpc() - begun) / 1e9 - 2
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    skynet.ret(skynet.pack(f(...)))
  end)
end)
