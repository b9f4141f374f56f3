-- Corners of the API that services come to depend on.
local skynet = require "skynet"
require "skynet.manager"
local queue = require "skynet.queue"
local tools = require "lib.tools"

local mode = ...

if mode == "peer" then
  local lock = queue()
  skynet.start(function()
    -- Without a function, dispatch tells which one there is.
    assert(skynet.dispatch("lua") == nil)
    local command = {}
    function command.echo(...) return ... end
    function command.wrapped(a)
      -- An answer from within a coroutine of the script's own.
      coroutine.wrap(function() skynet.retpack("wrapped", a) end)()
      return nil, true
    end
    function command.locked_exit()
      lock(function() skynet.exit() end)
    end
    function command.locked()
      return lock(function() skynet.sleep(5) return "unlocked" end)
    end
    function command.nested()
      local out = {}
      for _, outer in skynet.request { skynet.self(), "lua", "echo", 1 } { skynet.self(), "lua", "echo", 2 }:select() do
        for _, inner in skynet.request { skynet.self(), "lua", "echo", 10 } { skynet.self(), "lua", "echo", 20 }:select() do
          out[#out + 1] = outer[1] * inner[1]
        end
      end
      table.sort(out)
      return out
    end
    local function dispatch(_, _, name, ...)
      local function answer(a, done, ...)
        if not done then skynet.retpack(a, done, ...) end
      end
      answer(command[name](...))
    end
    skynet.dispatch("lua", dispatch)
    assert(skynet.dispatch("lua") == dispatch)
  end)
  return
end

skynet.start(function()
  local peer = skynet.newservice(SERVICE_NAME, "peer")
  local function call(...) return skynet.call(peer, "lua", ...) end

  local what, a = call("wrapped", 7)
  assert(what == "wrapped" and a == 7)
  assert(tools.equal((call "nested"), { 10, 20, 20, 40 }))

  -- Times below nothing, and halves of a hundredth.
  local order = {}
  skynet.timeout(-5, function() order[#order + 1] = "past" end)
  skynet.timeout(0.5, function() order[#order + 1] = "half" end)
  skynet.timeout(1, function() order[#order + 1] = "one" end)
  skynet.sleep(2)
  assert(table.concat(order, " ") == "past half one", table.concat(order, " "))
  skynet.sleep(-1)

  -- A fork is a coroutine that can be looked at, and ended by itself at the end only.
  local co = skynet.fork(function() skynet.sleep(3) end)
  assert(type(co) == "thread" and coroutine.status(co) == "suspended" and co ~= coroutine.running())
  skynet.sleep(5)
  assert(skynet.wakeup(co) == false)

  -- Many arguments, and none.
  local many, count = {}, nil
  for i = 1, 250 do many[i] = i end
  skynet.fork(function(...) count = select("#", ...) end, (table.unpack or unpack)(many))
  skynet.yield()
  assert(count == 250)

  -- skynet.error takes whatever there is.
  skynet.error()
  skynet.error(nil, 1, {}, true)
  skynet.error("a", nil)

  -- Messages to a service that has yet to set its handlers wait for it.
  local slow
  skynet.fork(function() slow = skynet.newservice "service/sequence" end)
  skynet.sleep(30)
  assert(slow)

  -- An exit within a queue leaves nobody who waits for that for ever.
  local locked = {}
  skynet.fork(function() locked[1] = { pcall(call, "locked") } end)
  skynet.sleep(1)
  skynet.fork(function() locked[2] = { pcall(call, "locked_exit") } end)
  skynet.fork(function() locked[3] = { pcall(call, "locked") } end)
  tools.eventually(function() return locked[1] and locked[2] and locked[3] end)
  assert(locked[1][1] and locked[1][2] == "unlocked" and not locked[2][1] and not locked[3][1])

  -- Kill one that is not there, and one twice.
  skynet.kill(peer)
  local other = skynet.newservice(SERVICE_NAME, "peer")
  skynet.kill(other)
  skynet.kill(other)

  -- genid, now and hpc go up.
  local id, now, hpc = skynet.genid(), skynet.now(), skynet.hpc()
  skynet.sleep(1)
  assert(skynet.genid() > id and skynet.now() == now + 1 and skynet.hpc() > hpc)

  -- launch gives the address at once; the service may still be starting.
  local launched = skynet.launch("snlua", SERVICE_NAME, "peer")
  assert(type(launched) == "number" and skynet.call(launched, "lua", "echo", "there") == "there")
  assert(skynet.pcall == pcall)
  print "ok"
end)
