-- Many services ask for the same unique service at once: it is started once, and its start function's wait is everybody's.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, main = ...

if mode == "asker" then
  skynet.start(function()
    tools.serve {
      ask = function(n)
        local seen, left = {}, n
        local me = coroutine.running()
        for i = 1, n do
          skynet.fork(function()
            local a = i % 3 == 0 and skynet.queryservice("service/sequence") or skynet.uniqueservice("service/sequence", 100)
            seen[i] = skynet.call(a, "lua", "next")
            left = left - 1
            if left == 0 then skynet.wakeup(me) end
          end)
        end
        skynet.wait(me)
        return seen
      end,
    }
  end)
  return
end

skynet.start(function()
  local numbers, done = {}, 0
  for i = 1, 6 do
    local asker = skynet.newservice(SERVICE_NAME, "asker")
    skynet.fork(function()
      for _, n in ipairs(skynet.call(asker, "lua", "ask", 12)) do
        assert(not numbers[n], "a number is given once: there is one service")
        numbers[n] = true
      end
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 6 end)
  for n = 101, 172 do assert(numbers[n], n) end
  local a = skynet.uniqueservice("service/sequence")
  assert(a == skynet.queryservice(true, "service/sequence") and a == skynet.uniqueservice(true, "service/sequence"))
  assert(skynet.call(a, "lua", "instances") == 1)
  print "ok"
end)
