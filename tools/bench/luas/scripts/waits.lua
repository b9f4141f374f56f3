-- Has many handlers that wait at the same time.
local skynet = require "skynet"

local CMD = {}
local waiting = 0

-- Waits for an answer that does not come.
function CMD.call(other)
  waiting = waiting + 1
  skynet.call(other, "lua", "never")
  error("an answer has come")
end

function CMD.sleep()
  waiting = waiting + 1
  skynet.sleep(360000)
  error("an hour has gone by")
end

function CMD.waiting()
  return waiting
end

skynet.start(function()
  skynet.dispatch("lua", function(session, _, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    if session == 0 then
      f(...)
    else
      skynet.ret(skynet.pack(f(...)))
    end
  end)
end)
