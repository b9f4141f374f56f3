-- NPCs, each of which is a coroutine that sleeps, walks and reacts; an alarm wakes those nearby early.
local skynet = require "skynet"
local tools = require "lib.tools"

local npcs = {}

local function nap(npc, cs)
  npc.state = "asleep"
  local early = skynet.sleep(cs, npc) == "BREAK"
  npc.state = "awake"
  return early
end

local function live(npc)
  while npc.health > 0 do
    local alarmed = nap(npc, 50 + npc.id)
    if alarmed then
      npc.alarms = npc.alarms + 1
      while npc.x ~= npc.goal do
        npc.x = npc.x + (npc.goal > npc.x and 1 or -1)
        npc.steps = npc.steps + 1
        skynet.sleep(1)
      end
    else
      npc.naps = npc.naps + 1
      npc.health = npc.health - 1
    end
  end
  npc.state = "dead"
end

local function alarm(x, radius)
  local n = 0
  for _, npc in ipairs(npcs) do
    if npc.state == "asleep" and math.abs(npc.x - x) <= radius then
      npc.goal = x
      assert(skynet.wakeup(npc))
      n = n + 1
    end
  end
  return n
end

skynet.start(function()
  for i = 1, 40 do
    npcs[i] = { id = i, x = i * 3, goal = 0, health = 4, naps = 0, alarms = 0, steps = 0, state = "new" }
    skynet.fork(live, npcs[i])
  end
  skynet.sleep(1)
  assert(skynet.task() == 40)
  assert(alarm(30, 9) == 7) -- those at 21 to 39
  skynet.sleep(3)
  assert(alarm(30, 2) == 1, "only the one at its place is asleep again")
  skynet.sleep(20)
  for i, npc in ipairs(npcs) do
    local near = math.abs(i * 3 - 30) <= 9
    assert(npc.alarms == (i == 10 and 2 or near and 1 or 0), i)
    assert(npc.steps == (near and math.abs(i * 3 - 30) or 0))
    assert(near and npc.x == 30 or npc.x == i * 3)
  end
  skynet.sleep(500)
  for _, npc in ipairs(npcs) do assert(npc.state == "dead" and npc.naps == 4) end
  assert(skynet.task() == 0 and alarm(30, 1000) == 0)

  -- In a world of its own for each id, ended from outside.
  local n = 0
  local thread = skynet.fork(function()
    while true do
      skynet.sleep(10)
      n = n + 1
    end
  end)
  skynet.sleep(35)
  skynet.killthread(thread)
  skynet.sleep(100)
  assert(n == 3)
  tools.eventually(function() return skynet.task() == 0 end)
  print "ok"
end)
