-- skynet.killthread: coroutines that sleep, wait for a token, wait for an answer, or have not begun.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, main = ...

if mode == "victim" then
  skynet.start(function()
    local stuck
    skynet.dispatch("lua", function(_, _, command)
      if command == "stick" then
        stuck = coroutine.running()
        skynet.wait()
        error "it must not go on"
      elseif command == "free" then
        local killed = skynet.killthread(stuck)
        skynet.retpack(killed == stuck, skynet.killthread(stuck) == nil)
      else
        skynet.retpack("still here", skynet.task())
      end
    end)
  end)
  return
end

skynet.start(function()
  local went_on = false
  local function never(f, ...)
    return skynet.fork(function(...)
      f(...)
      went_on = true
    end, ...)
  end
  local victim = skynet.newservice(SERVICE_NAME, "victim")

  local threads = {
    never(skynet.sleep, 5), never(skynet.wait, "token"), never(skynet.call, victim, "lua", "stick"), never(skynet.wait), never(skynet.sleep, 100000, "token 2"),
  }
  skynet.sleep(1)
  assert(skynet.task() == #threads, skynet.task())
  for _, co in ipairs(threads) do assert(skynet.killthread(co) == co) end
  assert(skynet.wakeup("token") == false and skynet.wakeup("token 2") == false, "their tokens are free")
  assert(skynet.task() == 0)
  skynet.sleep(10)
  assert(not went_on)

  -- One that has not begun.
  local begun
  local co = skynet.fork(function() begun = true end)
  assert(skynet.killthread(co) == co)
  skynet.sleep(1)
  assert(not begun)

  -- By a part of its name, as the console does.
  co = never(skynet.wait, "named")
  skynet.sleep(1)
  assert(skynet.killthread(string.match(tostring(co), "0x%x+")) == co)
  assert(skynet.killthread("no thread has this name") == nil)

  -- Who waits for the answer of a handler that is killed hears of it.
  local err
  skynet.fork(function() err = tools.fails("", skynet.call, victim, "lua", "stick") end)
  skynet.sleep(1)
  local killed, again = skynet.call(victim, "lua", "free")
  assert(killed and again)
  tools.eventually(function() return err end)
  assert(skynet.call(victim, "lua", "look") == "still here")
  print "ok"
end)
