-- Ends that come from odd places: of oneself by killthread and by kill, in the middle of a call, in a chain of waits, in a fork of the start function.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, how = ...

if mode == "victim" then
  skynet.start(function()
    if how == "kill in start" then
      skynet.fork(function() skynet.kill(skynet.self()) end)
    end
    local depth = 0
    tools.serve {
      kill = function() skynet.kill(skynet.self()) end,
      chain = function(n)
        depth = math.max(depth, n)
        if n == 5 then skynet.wait() end
        return skynet.call(skynet.self(), "lua", "chain", n + 1)
      end,
      depth = function() return depth end,
      -- Waits of all kinds, none of which goes on.
      many = function()
        for i = 1, 10 do
          skynet.fork(function() skynet.sleep(1000) print "this must not run" end)
          skynet.fork(function() skynet.wait("w" .. i) print "this must not run" end)
          skynet.fork(function() skynet.call(skynet.self(), "lua", "chain", 1) print "this must not run" end)
          skynet.timeout(1000, function() print "this must not run" end)
        end
      end,
    }
  end)
  return
end

skynet.start(function()
  local function victim(...) return skynet.newservice(SERVICE_NAME, "victim", ...) end
  local function gone(a)
    tools.eventually(function()
      local ok, err = pcall(skynet.call, a, "lua", "depth")
      return not ok and err.code == "no_actor"
    end)
  end

  local a = victim()
  assert(tools.fails("", skynet.call, a, "lua", "kill").code == "stopped")
  gone(a)

  gone(victim "kill in start")

  local b = victim()
  local err
  skynet.fork(function() err = tools.fails("", skynet.call, b, "lua", "chain", 1) end)
  skynet.sleep(1)
  assert(skynet.call(b, "lua", "depth") == 5)
  skynet.call(b, "lua", "many")
  skynet.sleep(1)
  skynet.kill(b)
  tools.eventually(function() return err end)
  assert(err.code == "stopped")
  gone(b)
  skynet.sleep(2000)

  -- One's own thread: the function after it still runs to its end or not, but the service lives.
  skynet.fork(function()
    pcall(skynet.killthread, coroutine.running())
  end)
  skynet.sleep(1)

  -- Kills in both directions at once.
  for _ = 1, 5 do
    local x, y = victim(), victim()
    skynet.fork(pcall, skynet.call, x, "lua", "chain", 1)
    skynet.fork(pcall, skynet.call, y, "lua", "chain", 1)
    skynet.yield()
    skynet.kill(y)
    skynet.kill(x)
    gone(x)
    gone(y)
  end
  print "ok"
end)
