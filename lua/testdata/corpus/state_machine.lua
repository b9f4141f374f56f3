-- A connection's states by changing dispatch functions: handshake, login, game; what comes in the wrong state is refused.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "session" then
  skynet.start(function()
    local handshake, login, game
    local player

    function handshake(_, _, word)
      if word ~= "hello" then return skynet.retpack(false, "hello first") end
      assert(skynet.dispatch("lua", login) == handshake, "it gives the function that was there")
      skynet.retpack(true)
    end

    function login(_, _, name, password)
      skynet.sleep(5) -- what comes meanwhile is still for login
      if player then return skynet.retpack(false, "logged in already") end
      if password ~= name .. "!" then return skynet.retpack(false, "wrong password") end
      player = { name = name, gold = 0 }
      skynet.dispatch("lua", game)
      skynet.retpack(true, name)
    end

    function game(session, _, command, n)
      if command == "logout" then
        player = nil
        skynet.dispatch("lua", handshake)
        return skynet.retpack(true)
      end
      player.gold = player.gold + n
      if session > 0 then skynet.retpack(player.gold) end
    end

    skynet.dispatch("lua", handshake)
  end)
  return
end

skynet.start(function()
  local s = skynet.newservice(SERVICE_NAME, "session")
  local ok, why = skynet.call(s, "lua", "ann", "ann!")
  assert(not ok and why == "hello first")
  assert(skynet.call(s, "lua", "hello"))
  ok, why = skynet.call(s, "lua", "ann", "x")
  assert(not ok and why == "wrong password")
  -- Two logins at once: one of them is late.
  local outcome = {}
  for i = 1, 2 do
    skynet.fork(function()
      local fine, what = skynet.call(s, "lua", "ann", "ann!")
      outcome[i] = tostring(fine) .. " " .. what
    end)
  end
  tools.eventually(function() return outcome[1] and outcome[2] end)
  assert(outcome[1] == "true ann" and outcome[2] == "false logged in already")
  for i = 1, 4 do skynet.send(s, "lua", "earn", i) end
  assert(skynet.call(s, "lua", "earn", 5) == 15)
  assert(skynet.call(s, "lua", "logout"))
  ok, why = skynet.call(s, "lua", "earn", 5)
  assert(not ok and why == "hello first")
  print "ok"
end)
