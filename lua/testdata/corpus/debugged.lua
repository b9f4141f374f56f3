-- What the console asks services: info, tasks, statistics, and commands of their own.
-- expect: handler failed
local skynet = require "skynet"
local debugging = require "skynet.debug"
local tools = require "lib.tools"

local mode = ...

if mode == "patient" then
  skynet.start(function()
    local players = { ann = 1, bob = 2 }
    skynet.info_func(function(who) return who and players[who] or players end)
    debugging.reg_debugcmd("KICK", function(who)
      local was = players[who]
      players[who] = nil
      skynet.retpack(was ~= nil)
    end)
    tools.serve { hang = function() skynet.wait() end }
  end)
  return
end

skynet.start(function()
  local patient = skynet.newservice(SERVICE_NAME, "patient")
  local function ask(...) return skynet.call(patient, "debug", ...) end
  assert(tools.equal(ask "INFO", { ann = 1, bob = 2 }) and ask("INFO", "bob") == 2)
  assert(ask("KICK", "ann") == true and ask("KICK", "ann") == false and tools.equal(ask "INFO", { bob = 2 }))
  assert(ask("SUPPORT", "KICK") or ask("SUPPORT", nil, "KICK") ~= nil)

  assert(ask("STAT").task == 0)
  for _ = 1, 3 do skynet.fork(pcall, skynet.call, patient, "lua", "hang") end
  skynet.sleep(1)
  assert(ask("STAT").task == 3)
  local tasks, n, some = ask("TASK"), 0, nil
  for session, stack in pairs(tasks) do
    n = n + 1
    some = session
    assert(type(stack) == "string")
  end
  assert(n == 3 and some)
  assert(type(ask("MEM")) == "number")
  assert(select("#", ask "PING") == 0)
  tools.fails("NONSENSE", ask, "NONSENSE")
  print "ok"
end)
