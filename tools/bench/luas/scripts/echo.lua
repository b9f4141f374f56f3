-- A service as most are: commands in a table, one dispatch function that calls and answers.
local skynet = require "skynet"

local CMD = {}
local count = 0

function CMD.echo(...)
  return ...
end

function CMD.count()
  count = count + 1
end

function CMD.counted()
  return count
end

skynet.start(function()
  skynet.dispatch("lua", function(session, source, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    if session == 0 then
      f(...)
    else
      skynet.ret(skynet.pack(f(...)))
    end
  end)
end)
