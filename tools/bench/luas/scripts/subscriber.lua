-- Counts the news.
local skynet = require "skynet"
local multicast = require "skynet.multicast"

local number = tonumber((...))
local received = 0

skynet.start(function()
  local channel = multicast.new {
    channel = number,
    dispatch = function(_, source, what, i, last)
      received = received + 1
      if last then
        assert(what == "news" and received >= i)
        skynet.send(source, "lua", "heard")
      end
    end,
  }
  channel:subscribe()
end)
