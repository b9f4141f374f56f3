-- The same service file as publisher and as subscriber, in Skynet's style: the first argument tells which.
local skynet = require "skynet"
local mc = require "skynet.multicast"

local mode = ...

if mode == "sub" then
  local heard = {}
  skynet.start(function()
    skynet.dispatch("lua", function(_, _, cmd, channel)
      if cmd == "init" then
        local c = mc.new {
          channel = channel,
          dispatch = function(_, source, ...) heard[#heard + 1] = skynet.address(source) .. " " .. table.concat({ ... }, " ") end,
        }
        c:subscribe()
        skynet.ret(skynet.pack())
      else
        skynet.retpack(table.concat(heard, "; "))
      end
    end)
  end)
else
  local channel, subs
  skynet.start(function()
    channel, subs = mc.new(), {}
    for i = 1, 10 do
      subs[i] = skynet.newservice("skynet_style", "sub")
      skynet.call(subs[i], "lua", "init", channel.channel)
    end
    skynet.dispatch("lua", function(_, _, cmd)
      channel:publish("Hello", "World")
      local me, n = skynet.address(skynet.self()), 0
      for _, sub in ipairs(subs) do
        if skynet.call(sub, "lua", "heard") == me .. " Hello World" then n = n + 1 end
      end
      skynet.retpack(n)
    end)
  end)
end
