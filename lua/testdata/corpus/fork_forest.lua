-- Forks in forks: a skill tree of effects, each of which starts two more. They run behind the present handler, in the order in which they were made.
local skynet = require "skynet"
local tools = require "lib.tools"

skynet.start(function()
  local order = {}
  local function effect(name, depth)
    order[#order + 1] = name
    if depth > 0 then
      skynet.fork(effect, name .. "l", depth - 1)
      skynet.fork(effect, name .. "r", depth - 1)
    end
  end
  skynet.fork(effect, "", 5)
  assert(#order == 0)
  skynet.sleep(0)
  tools.eventually(function() return #order == 63 end)
  for i = 2, #order do assert(#order[i] >= #order[i - 1], "level by level") end
  assert(order[2] == "l" and order[3] == "r" and order[4] == "ll" and order[63] == "rrrrr")

  -- Arguments, nil among them and at the end.
  local got
  skynet.fork(function(...) got = { n = select("#", ...), ... } end, nil, 1, nil, "x", nil)
  skynet.sleep(0)
  assert(got.n == 5 and got[2] == 1 and got[4] == "x")

  -- Upvalues of a loop are each fork's own.
  local sum = 0
  for i = 1, 100 do skynet.fork(function() sum = sum + i end) end
  skynet.sleep(0)
  assert(sum == 5050)

  -- A fork that waits does not hold up the others, and its values are there when it goes on.
  local finished = {}
  for i = 1, 20 do
    skynet.fork(function(number, name)
      skynet.sleep(21 - number)
      finished[#finished + 1] = name
    end, i, "f" .. i)
  end
  skynet.sleep(30)
  for i = 1, 20 do assert(finished[i] == "f" .. 21 - i) end

  -- Deep, one below the other, with a wait now and then.
  local deepest = 0
  local function down(n)
    deepest = math.max(deepest, n)
    if n % 50 == 0 then skynet.sleep(1) end
    if n < 500 then skynet.fork(down, n + 1) end
  end
  skynet.fork(down, 1)
  tools.eventually(function() return deepest == 500 end)
  tools.eventually(function() return skynet.task() == 0 end)

  -- A fork answers nothing: it is part of no request.
  local fine = false
  skynet.fork(function()
    fine = select("#", skynet.context()) == 0 and not pcall(skynet.retpack, 1)
  end)
  skynet.sleep(0)
  assert(fine)
  print "ok"
end)
