-- A broadcast to many services: all get each message once and in order, also when some of them end in between.
-- may: dead letter
local skynet = require "skynet"
require "skynet.manager"
local multicast = require "skynet.multicast"
local tools = require "lib.tools"

local mode, number = ...

if mode == "listener" then
  skynet.start(function()
    local last, sum, wrong = 0, 0, 0
    local channel = multicast.new {
      channel = number,
      dispatch = function(_, _, n, payload)
        if n ~= last + 1 or payload.n ~= n then wrong = wrong + 1 end
        last, sum = n, sum + n
        payload.n = "mine" -- what one does with its copy is its own
      end,
    }
    channel:subscribe()
    tools.serve { result = function() return last, sum, wrong end }
  end)
  return
end

skynet.start(function()
  local channel = multicast.new()
  local listeners = {}
  for i = 1, 30 do listeners[i] = skynet.newservice(SERVICE_NAME, "listener", channel.channel) end
  for n = 1, 40 do
    channel:publish(n, { n = n, text = "to all", list = { 1, 2, 3 } })
    if n == 10 or n == 25 then skynet.kill(table.remove(listeners)) end
    if n % 7 == 0 then skynet.yield() end
  end
  tools.eventually(function()
    for _, l in ipairs(listeners) do
      if skynet.call(l, "lua", "result") ~= 40 then return false end
    end
    return true
  end)
  assert(#listeners == 28)
  for _, l in ipairs(listeners) do
    local last, sum, wrong = skynet.call(l, "lua", "result")
    assert(last == 40 and sum == 820 and wrong == 0)
  end

  -- With pack and unpack of its own.
  local got
  local packed = multicast.new {
    pack = function(a, b) return a .. "," .. b end,
    unpack = function(msg, sz) return string.match(skynet.tostring(msg, sz), "(%w+),(%w+)") end,
    dispatch = function(_, source, a, b) got = { source, a, b } end,
  }
  packed:subscribe()
  packed:publish("left", "right")
  tools.eventually(function() return got end)
  assert(got[1] == skynet.self() and got[2] == "left" and got[3] == "right")
  print "ok"
end)
