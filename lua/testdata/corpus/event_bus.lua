-- An event bus: subscriptions by pattern, one-time ones, subscribers that die, events that cause events.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, bus = ...

if mode == "bus" then
  skynet.start(function()
    local subscriptions, last = {}, 0
    local function matches(pattern, event)
      return pattern == event or string.sub(pattern, -2) == ".*" and string.sub(event, 1, #pattern - 1) == string.sub(pattern, 1, -2)
    end
    tools.serve {
      on = function(address, pattern, once)
        last = last + 1
        subscriptions[last] = { address = address, pattern = pattern, once = once }
        return last
      end,
      off = function(id)
        local was = subscriptions[id] ~= nil
        subscriptions[id] = nil
        return was
      end,
      emit = function(event, ...)
        local n = 0
        for id = 1, last do
          local s = subscriptions[id]
          if s and matches(s.pattern, event) then
            if s.once then subscriptions[id] = nil end
            skynet.send(s.address, "lua", "event", event, ...)
            n = n + 1
          end
        end
        return n
      end,
      sweep = function()
        local gone = 0
        for id = 1, last do
          local s = subscriptions[id]
          if s and not pcall(skynet.call, s.address, "debug", "PING") then
            subscriptions[id] = nil
            gone = gone + 1
          end
        end
        return gone
      end,
    }
  end)
  return
elseif mode == "listener" then
  skynet.start(function()
    local heard = {}
    tools.serve {
      event = function(event, ...)
        heard[#heard + 1] = event .. "(" .. table.concat({ ... }, ",") .. ")"
        if event == "player.level" and (...) < 3 then skynet.call(bus, "lua", "emit", "player.level", (...) + 1) end
      end,
      heard = function()
        local list = heard
        heard = {}
        return list
      end,
    }
  end)
  return
end

skynet.start(function()
  bus = skynet.newservice(SERVICE_NAME, "bus")
  local a, b = skynet.newservice(SERVICE_NAME, "listener", bus), skynet.newservice(SERVICE_NAME, "listener", bus)
  local function call(...) return skynet.call(bus, "lua", ...) end
  local function heard(who) return table.concat(skynet.call(who, "lua", "heard"), " ") end

  call("on", a, "player.*")
  local id = call("on", b, "player.login")
  call("on", b, "shop.open", true)
  assert(call("emit", "player.login", "ann", 7) == 2)
  assert(call("emit", "shop.open") == 1 and call("emit", "shop.open") == 0)
  assert(call("emit", "players.all") == 0)
  assert(heard(a) == "player.login(ann,7)")
  assert(heard(b) == "player.login(ann,7) shop.open()")
  assert(call("off", id) == true and call("off", id) == false)
  assert(call("emit", "player.logout", "ann") == 1)
  assert(heard(b) == "")

  -- An event that causes the next, through the bus.
  call("emit", "player.level", 1)
  skynet.sleep(1)
  assert(heard(a) == "player.logout(ann) player.level(1) player.level(2) player.level(3)", heard(a))

  skynet.kill(a)
  skynet.sleep(1)
  assert(call("sweep") == 1 and call("emit", "player.login", "x") == 0)
  print "ok"
end)
