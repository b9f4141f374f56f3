-- skynet.exit at all kinds of places: in the start function, in a handler with calls on their way in and out, in a fork, in a timer, twice.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, where, other = ...

if mode == "leaver" then
  skynet.start(function()
    if where == "start" then
      skynet.exit()
      error("behind the exit")
    end
    skynet.dispatch("lua", function(_, _, command)
      if command == "sleep" then
        skynet.sleep(10000)
        skynet.send(other, "lua", "note", "behind a sleep")
      elseif command == "call" then
        pcall(skynet.call, other, "lua", "slow")
        skynet.send(other, "lua", "note", "behind a call")
      elseif command == "exit" then
        skynet.retpack("answered")
        skynet.exit()
        skynet.send(other, "lua", "note", "behind the exit")
      elseif command == "silent exit" then
        skynet.exit()
      end
    end)
    if where == "fork" then
      skynet.fork(function()
        skynet.sleep(5)
        skynet.send(other, "lua", "note", "fork")
        skynet.exit()
        skynet.send(other, "lua", "note", "behind the exit")
      end)
    elseif where == "timer" then
      skynet.timeout(5, function()
        skynet.timeout(1, function() skynet.send(other, "lua", "note", "later timer") end)
        skynet.exit()
      end)
    end
  end)
  return
end

skynet.start(function()
  local notes = {}
  tools.serve {
    note = function(text) notes[#notes + 1] = text end,
    slow = function() skynet.sleep(10) return "slow" end,
  }
  local function leaver(place) return skynet.newservice(SERVICE_NAME, "leaver", place, skynet.self()) end
  local function gone(a)
    tools.eventually(function()
      local ok, err = pcall(skynet.call, a, "lua", "sleep")
      return not ok and err.code == "no_actor"
    end)
  end

  assert(pcall(leaver, "start"), "one that has done its work in its start function has not failed")

  -- With callers that wait, and calls of its own.
  local a = leaver "handler"
  local heard = 0
  for i = 1, 6 do
    skynet.fork(function()
      local err = tools.fails("", skynet.call, a, "lua", i % 2 == 0 and "sleep" or "call")
      assert(err.code == "stopped")
      heard = heard + 1
    end)
  end
  skynet.sleep(1)
  assert(skynet.call(a, "lua", "exit") == "answered")
  tools.eventually(function() return heard == 6 end)
  gone(a)

  -- The one who asks for the end without an answer hears that it has come.
  local b = leaver "handler"
  assert(tools.fails("", skynet.call, b, "lua", "silent exit").code == "stopped")

  local c, d = leaver "fork", leaver "timer"
  skynet.sleep(100)
  gone(c)
  gone(d)
  assert(tools.equal(notes, { "fork" }), table.concat(notes, ", "))
  print "ok"
end)
