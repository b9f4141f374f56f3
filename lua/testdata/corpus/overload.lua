-- A login server under a rush: it works on a few at a time, queues some, and tells the rest at once that it is full.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "login" then
  skynet.start(function()
    local working, queue, refused, most = 0, {}, 0, 0

    local function work(name)
      working = working + 1
      most = math.max(most, working)
      skynet.sleep(10) -- the password is expensive
      working = working - 1
      local next_one = table.remove(queue, 1)
      if next_one then skynet.wakeup(next_one) end
      return name .. " is in"
    end

    tools.serve {
      login = function(name)
        if working >= 4 then
          if #queue >= 6 then
            refused = refused + 1
            error({ code = "full", retry = 50 })
          end
          local me = {}
          queue[#queue + 1] = me
          skynet.wait(me)
        end
        return work(name)
      end,
      figures = function() return refused, most, #queue, working end,
    }
  end)
  return
end

skynet.start(function()
  local login = skynet.newservice(SERVICE_NAME, "login")
  local entered, tries, began = 0, 0, skynet.now()
  for i = 1, 40 do
    skynet.fork(function()
      while true do
        tries = tries + 1
        local ok, v = pcall(skynet.call, login, "lua", "login", "p" .. i)
        if ok then
          assert(v == "p" .. i .. " is in")
          break
        end
        assert(v.code == "full")
        skynet.sleep(v.retry + i)
      end
      entered = entered + 1
    end)
  end
  skynet.sleep(5)
  local refused, most, queued, working = skynet.call(login, "lua", "figures")
  assert(refused == 30 and most == 4 and queued == 6 and working == 4, refused)
  tools.eventually(function() return entered == 40 end)
  refused, most, queued, working = skynet.call(login, "lua", "figures")
  assert(most <= 5 and queued == 0 and working == 0)
  assert(tries == 40 + refused and skynet.now() - began < 1000)
  print "ok"
end)
