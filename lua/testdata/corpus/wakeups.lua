-- skynet.wait, sleep and wakeup in all orders.
local skynet = require "skynet"
local tools = require "lib.tools"

skynet.start(function()
  local log = {}
  local function note(s) log[#log + 1] = s end
  local function taken()
    local text = table.concat(log, " ")
    log = {}
    return text
  end

  -- Nobody waits: the call is lost.
  assert(skynet.wakeup("early") == false)
  local result
  skynet.fork(function() result = { skynet.sleep(5, "early") } end)
  skynet.sleep(10)
  assert(#result == 0)

  -- Those who are woken go on when the one who wakes them waits, in the order of the calls, not in that of their waits.
  local tokens = { "a", "b", "c", "d" }
  for _, token in ipairs(tokens) do
    skynet.fork(function()
      skynet.wait(token)
      note(token)
    end)
  end
  skynet.sleep(0)
  for _, token in ipairs { "c", "a", "d", "b" } do assert(skynet.wakeup(token) == true) end
  assert(taken() == "")
  skynet.sleep(0)
  assert(taken() == "c a d b")

  -- Once is enough: the second call finds it awake or still on its way, and changes nothing.
  local times = 0
  skynet.fork(function()
    skynet.wait("once")
    times = times + 1
  end)
  skynet.sleep(0)
  skynet.wakeup("once")
  skynet.wakeup("once")
  skynet.sleep(1)
  assert(times == 1 and skynet.wakeup("once") == false)

  -- A sleep that ends early says so; its timer does not come to a later one.
  local said, lasted
  skynet.fork(function()
    local began = skynet.now()
    said = skynet.sleep(1000, "nap")
    skynet.sleep(20, "nap")
    lasted = skynet.now() - began
  end)
  skynet.sleep(5)
  assert(skynet.wakeup("nap") and said == nil)
  skynet.sleep(30)
  assert(said == "BREAK" and lasted == 25, lasted)

  -- Any value can be a token, and the coroutine itself is the usual one.
  local object = setmetatable({}, { __tostring = function() return "an object" end })
  for _, token in ipairs { 7, 7.5, true, object, print } do
    local woken
    skynet.fork(function() skynet.wait(token) woken = true end)
    skynet.sleep(0)
    assert(skynet.wakeup(token), tostring(token))
    skynet.sleep(0)
    assert(woken)
  end
  local co = skynet.fork(function() skynet.wait() note "me" end)
  skynet.sleep(0)
  assert(skynet.wakeup(co))
  skynet.sleep(0)
  assert(taken() == "me")

  -- One token, one who waits.
  skynet.fork(function() skynet.wait("taken") end)
  skynet.sleep(0)
  tools.fails("", skynet.wait, "taken")
  skynet.wakeup("taken")

  -- Ping and pong: each wakes the other.
  local function player(mine, yours, n)
    for i = 1, n do
      note(mine .. i)
      skynet.wakeup(yours)
      if i < n or mine == "ping" then skynet.wait(mine) end
    end
  end
  skynet.fork(player, "ping", "pong", 3)
  skynet.fork(player, "pong", "ping", 3)
  skynet.sleep(1)
  assert(taken() == "ping1 pong1 ping2 pong2 ping3 pong3")

  -- A time that is over and a wakeup in one turn: whichever was first.
  local which
  skynet.fork(function() which = skynet.sleep(3, "race") or "time" end)
  skynet.timeout(3, function() skynet.wakeup("race") end)
  skynet.sleep(5)
  assert(which == "time" or which == "BREAK")
  print "ok"
end)
