-- A service that has little to do.
local skynet = require "skynet"

local CMD = {}

function CMD.ping()
  return "pong"
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    skynet.ret(skynet.pack(f(...)))
  end)
end)
