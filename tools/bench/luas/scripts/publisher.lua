-- Publishes to all who have subscribed.
local skynet = require "skynet"
local multicast = require "skynet.multicast"

local CMD = {}
local channel
local subscribers = 0
local left = 0
local heard = {}

function CMD.open(n)
  channel = multicast.new()
  for _ = 1, n do
    skynet.newservice("subscriber", channel.channel)
  end
  subscribers = n
end

-- Publishes n messages, and returns when all have handled the last one.
function CMD.publish(n)
  left = subscribers
  for i = 1, n do
    channel:publish("news", i, i == n)
  end
  skynet.wait(heard)
end

-- A subscriber has handled the last message.
function CMD.heard()
  left = left - 1
  if left == 0 then
    skynet.wakeup(heard)
  end
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
