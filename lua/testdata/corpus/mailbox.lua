-- skynet.mqlen and stat: a service that sheds work when too much of it waits.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "busy" then
  skynet.start(function()
    local handled, dropped, longest = 0, 0, 0
    skynet.dispatch("lua", function(session, _, command)
      longest = math.max(longest, skynet.mqlen())
      if command == "work" then
        if skynet.mqlen() > 40 then
          dropped = dropped + 1
        else
          handled = handled + 1
        end
      elseif command == "flood" then
        -- From within, so that nothing of it is handled before the handler ends.
        for _ = 1, 100 do skynet.send(skynet.self(), "lua", "work") end
        skynet.retpack(skynet.mqlen())
      elseif session > 0 then
        skynet.retpack(handled, dropped, longest, skynet.stat "message", skynet.stat "mqlen")
      end
    end)
  end)
  return
end

skynet.start(function()
  local busy = skynet.newservice(SERVICE_NAME, "busy")
  assert(skynet.call(busy, "lua", "flood") >= 100)
  local handled, dropped, longest, messages, now = tools.eventually(function()
    local h, d = skynet.call(busy, "lua", "figures")
    return h + d == 100 and h
  end)
  handled, dropped, longest, messages, now = skynet.call(busy, "lua", "figures")
  -- Whoever asks for the figures meanwhile waits, too.
  assert(handled + dropped == 100 and handled <= 41 and handled >= 30, handled .. " " .. dropped)
  assert(longest >= 99 and messages > 100 and now == 0)
  assert(skynet.stat "mqlen" == skynet.mqlen() and skynet.stat "cpu" >= 0 and skynet.stat "endless" == 0)
  tools.fails("skynet.stat", skynet.stat, "weather")
  print "ok"
end)
