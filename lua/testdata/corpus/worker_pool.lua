-- A pool of workers: jobs go to whoever is free, in order; a worker that dies is replaced, and its job is given to another.
-- expect: given up
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, number = ...

if mode == "worker" then
  skynet.start(function()
    local jobs = 0
    tools.serve {
      run = function(kind, n)
        jobs = jobs + 1
        skynet.sleep(n)
        if kind == "poison" and jobs % 2 == 1 then skynet.exit() end
        return kind .. " " .. n, number
      end,
    }
  end)
  return
elseif mode == "pool" then
  skynet.start(function()
    local free, waiting, made, died = {}, {}, 0, 0
    local function hire()
      made = made + 1
      return skynet.newservice(SERVICE_NAME, "worker", made)
    end
    local function take()
      if #free > 0 then return table.remove(free) end
      local token = {}
      waiting[#waiting + 1] = token
      skynet.wait(token)
      return token.worker
    end
    local function give(worker)
      local token = table.remove(waiting, 1)
      if token then
        token.worker = worker
        skynet.wakeup(token)
      else
        free[#free + 1] = worker
      end
    end
    for i = 1, number do free[i] = hire() end
    tools.serve {
      submit = function(kind, n)
        for attempt = 1, 3 do
          local worker = take()
          local ok, result, by = pcall(skynet.call, worker, "lua", "run", kind, n)
          if ok then
            give(worker)
            return result, by, attempt
          end
          died = died + 1
          give(hire())
        end
        error("given up")
      end,
      figures = function() return made, died, #free end,
    }
  end)
  return
end

skynet.start(function()
  local pool = skynet.newservice(SERVICE_NAME, "pool", 4)
  local done, by = 0, {}
  local began = skynet.now()
  for _ = 1, 16 do
    skynet.fork(function()
      local result, worker = skynet.call(pool, "lua", "submit", "dig", 10)
      assert(result == "dig 10")
      by[worker] = (by[worker] or 0) + 1
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 16 end)
  assert(skynet.now() - began >= 40 and skynet.now() - began <= 45, "four at a time")
  for i = 1, 4 do assert(by[i] == 4) end

  -- Workers that have had an even number of jobs die of this one.
  local ok, attempts = pcall(function() return select(3, skynet.call(pool, "lua", "submit", "poison", 2)) end)
  local made, died, free = skynet.call(pool, "lua", "figures")
  assert(made == 4 + died and free == 4 and died > 0)
  assert(ok and attempts > 1 or not ok and died == 3)
  assert(skynet.call(pool, "lua", "submit", "dig", 1) == "dig 1")
  print "ok"
end)
