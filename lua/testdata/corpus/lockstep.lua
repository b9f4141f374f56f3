-- A lockstep battle: players' inputs are gathered for a tick of 5/100 s and sent to all; each player computes the same world of them.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, battle, seed = ...

if mode == "battle" then
  skynet.start(function()
    local members, inputs, frame, running = {}, {}, 0, false
    local function tick()
      if not running then return end
      frame = frame + 1
      for _, member in ipairs(members) do skynet.send(member, "lua", "frame", frame, inputs) end
      inputs = {}
      skynet.timeout(5, tick)
    end
    tools.serve {
      join = function(member) members[#members + 1] = member return #members end,
      begin = function() running = true tick() end,
      finish = function() running = false return frame end,
      input = function(who, key) inputs[#inputs + 1] = { who, key } end,
    }
  end)
  return
elseif mode == "player" then
  skynet.start(function()
    local number
    local world, last, random = { 0, 0, 0 }, 0, seed
    tools.serve {
      join = function() number = skynet.call(battle, "lua", "join", skynet.self()) end,
      play = function(n)
        skynet.fork(function()
          for _ = 1, n do
            random = (random * 16807) % 2147483647
            skynet.sleep(random % 9)
            skynet.send(battle, "lua", "input", number, random % 7)
          end
        end)
      end,
      frame = function(n, inputs)
        assert(n == last + 1, "each frame once, in order")
        last = n
        for _, input in ipairs(inputs) do
          world[input[1]] = (world[input[1]] * 31 + input[2] + n) % 1000003
        end
      end,
      state = function() return last, world end,
    }
  end)
  return
end

skynet.start(function()
  battle = skynet.newservice(SERVICE_NAME, "battle")
  local players = {}
  for i = 1, 3 do
    players[i] = skynet.newservice(SERVICE_NAME, "player", battle, 1000 + i)
    skynet.call(players[i], "lua", "join")
  end
  skynet.call(battle, "lua", "begin")
  for i = 1, 3 do skynet.call(players[i], "lua", "play", 50 + i) end
  skynet.sleep(600)
  local frames = skynet.call(battle, "lua", "finish")
  assert(frames >= 119 and frames <= 121, frames)
  skynet.sleep(20)
  local last, first_world = skynet.call(players[1], "lua", "state")
  assert(last == frames and first_world[1] ~= 0 and first_world[2] ~= 0 and first_world[3] ~= 0)
  for i = 2, 3 do
    local n, world = skynet.call(players[i], "lua", "state")
    assert(n == frames and tools.equal(world, first_world), "all have computed the same")
  end
  print "ok"
end)
