-- Calls another service, and sends to it.
local skynet = require "skynet"

local CMD = {}
local echo

-- An echo service of this node, or the one of that address.
function CMD.open(addr)
  echo = addr or skynet.newservice("echo")
end

-- n calls, so many of them in flight.
function CMD.call(n, in_flight)
  if in_flight == 1 then
    for i = 1, n do
      assert(skynet.call(echo, "lua", "echo", i) == i)
    end
    return
  end
  local left, done = in_flight, {}
  local each = math.ceil(n / in_flight)
  for _ = 1, in_flight do
    skynet.fork(function()
      for i = 1, each do
        assert(skynet.call(echo, "lua", "echo", i) == i)
      end
      left = left - 1
      if left == 0 then
        skynet.wakeup(done)
      end
    end)
  end
  skynet.wait(done)
end

function CMD.call_table(n)
  for i = 1, n do
    local player = skynet.call(echo, "lua", "echo", { id = i, name = "player", x = 1.5, online = true })
    assert(player.id == i)
  end
end

-- n messages; returns how many the other has handled in all.
function CMD.send(n)
  for i = 1, n do
    skynet.send(echo, "lua", "count", i)
  end
  return skynet.call(echo, "lua", "counted")
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...)
    local f = assert(CMD[cmd], cmd)
    skynet.ret(skynet.pack(f(...)))
  end)
end)
