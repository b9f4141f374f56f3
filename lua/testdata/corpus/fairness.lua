-- A long computation that yields lets messages and timers by; one that does not holds them up until it ends, and no longer.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "brain" then
  skynet.start(function()
    local asked = 0
    tools.serve {
      think = function(n, every)
        local primes, during = 0, asked
        for i = 2, n do
          local prime = true
          for j = 2, math.floor(math.sqrt(i)) do
            if i % j == 0 then prime = false break end
          end
          if prime then primes = primes + 1 end
          if every and i % every == 0 then skynet.yield() end
        end
        return primes, asked - during
      end,
      ask = function()
        asked = asked + 1
        return asked
      end,
    }
  end)
  return
end

skynet.start(function()
  local brain = skynet.newservice(SERVICE_NAME, "brain")
  local function think(every)
    local result
    skynet.fork(function() result = { skynet.call(brain, "lua", "think", 2000, every) } end)
    skynet.yield()
    for _ = 1, 5 do skynet.call(brain, "lua", "ask") end
    tools.eventually(function() return result end)
    assert(result[1] == 303)
    return result[2]
  end
  assert(think(10) > 0, "who yields is asked meanwhile")
  assert(think(nil) == 0, "who does not is asked afterwards")

  -- Yields of several go round.
  local order, finished = {}, 0
  for _, name in ipairs { "a", "b", "c" } do
    skynet.fork(function()
      for _ = 1, 4 do
        order[#order + 1] = name
        skynet.yield()
      end
      finished = finished + 1
    end)
  end
  tools.eventually(function() return finished == 3 end)
  assert(table.concat(order) == "abcabcabcabc", table.concat(order))
  print "ok"
end)
