-- A guild's bank: each change reads, asks the audit (which takes its time) and writes. The queue keeps changes apart; without it some are lost.
local skynet = require "skynet"
local queue = require "skynet.queue"
local tools = require "lib.tools"

local mode = ...

if mode == "audit" then
  skynet.start(function()
    local seen = 0
    tools.serve {
      approve = function(amount)
        skynet.sleep(amount % 5)
        seen = seen + 1
        return amount < 1000, seen
      end,
    }
  end)
elseif mode == "bank" then
  local audit = select(2, ...)
  skynet.start(function()
    local gold, refused, lock = 0, 0, queue()
    local function change(amount)
      local before = gold
      if not skynet.call(audit, "lua", "approve", amount) then
        refused = refused + 1
        return false, before
      end
      gold = before + amount
      return true, gold
    end
    tools.serve {
      careless = change,
      deposit = function(amount) return lock(change, amount) end,
      balance = function() return gold, refused end,
      reset = function() gold, refused = 0, 0 end,
    }
  end)
else
  skynet.start(function()
    local bank = skynet.newservice(SERVICE_NAME, "bank", skynet.newservice(SERVICE_NAME, "audit"))

    local function members(command)
      local left = 20
      local me = coroutine.running()
      for i = 1, 20 do
        skynet.fork(function()
          local ok = skynet.call(bank, "lua", command, i)
          assert(ok)
          left = left - 1
          if left == 0 then skynet.wakeup(me) end
        end)
      end
      skynet.wait(me)
      return (skynet.call(bank, "lua", "balance"))
    end

    assert(members "careless" < 210, "changes that wait overwrite each other")
    skynet.call(bank, "lua", "reset")
    assert(members "deposit" == 210)
    local ok, gold = skynet.call(bank, "lua", "deposit", 5000)
    assert(ok == false and gold == 210)
    assert(select(2, skynet.call(bank, "lua", "balance")) == 1)
    print "ok"
  end)
end
