-- A chat room: members join and leave while others talk; each hears what was said while they were in, in one order for all.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, room, name = ...

if mode == "room" then
  skynet.start(function()
    local members, history = {}, {}
    tools.serve {
      join = function(member, who)
        members[member] = who
        return #history
      end,
      leave = function(member)
        members[member] = nil
        return #history
      end,
      say = function(who, text)
        history[#history + 1] = who .. ": " .. text
        for member in pairs(members) do skynet.send(member, "lua", "heard", #history, history[#history]) end
        return #history
      end,
      history = function() return history end,
    }
  end)
  return
elseif mode == "member" then
  skynet.start(function()
    local heard, from, to = {}, nil, nil
    tools.serve {
      heard = function(n, text) heard[n] = text end,
      live = function(first, count, pause)
        skynet.sleep(first)
        from = skynet.call(room, "lua", "join", skynet.self(), name) + 1
        for i = 1, count do
          skynet.sleep(pause)
          skynet.call(room, "lua", "say", name, "line " .. i)
        end
        to = skynet.call(room, "lua", "leave", skynet.self())
      end,
      report = function() return from, to, heard end,
    }
  end)
  return
end

skynet.start(function()
  room = skynet.newservice(SERVICE_NAME, "room")
  local plans = { ann = { 0, 12, 3 }, bob = { 5, 8, 2 }, cat = { 9, 5, 7 }, dan = { 30, 4, 1 } }
  local members, left = {}, 0
  for who, plan in pairs(plans) do
    members[who] = skynet.newservice(SERVICE_NAME, "member", room, who)
    left = left + 1
    skynet.fork(function()
      skynet.call(members[who], "lua", "live", plan[1], plan[2], plan[3])
      left = left - 1
    end)
  end
  tools.eventually(function() return left == 0 end)
  local history = skynet.call(room, "lua", "history")
  assert(#history == 12 + 8 + 5 + 4)
  for who, address in pairs(members) do
    local from, to, heard = skynet.call(address, "lua", "report")
    local lines = 0
    for n, text in pairs(heard) do
      assert(n >= from and n <= to and text == history[n], who .. " heard what was said")
      lines = lines + 1
    end
    assert(lines == to - from + 1, who .. " heard all of it")
  end
  print "ok"
end)
