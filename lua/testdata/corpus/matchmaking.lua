-- Matchmaking: players wait in a call for others of their strength; the range widens with the time; some give up.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "matcher" then
  skynet.start(function()
    local waiting, rooms = {}, 0

    local function fits(a, b)
      local patience = math.max(skynet.now() - a.since, skynet.now() - b.since)
      return math.abs(a.rating - b.rating) <= 50 + patience
    end

    local function match()
      for i = #waiting, 1, -1 do
        if not waiting[i].answer("TEST") then table.remove(waiting, i) end
      end
      local i = 1
      while i < #waiting do
        local a, partner = waiting[i], nil
        for j = i + 1, #waiting do
          if fits(a, waiting[j]) then partner = j break end
        end
        if partner then
          local b = table.remove(waiting, partner)
          table.remove(waiting, i)
          rooms = rooms + 1
          a.answer(true, rooms, b.name)
          b.answer(true, rooms, a.name)
        else
          i = i + 1
        end
      end
    end

    skynet.fork(function()
      while true do
        skynet.sleep(10)
        match()
      end
    end)
    skynet.dispatch("lua", function(_, _, command, name, rating)
      if command == "join" then
        waiting[#waiting + 1] = { name = name, rating = rating, since = skynet.now(), answer = skynet.response() }
      else
        skynet.retpack(#waiting)
      end
    end)
  end)
  return
end

skynet.start(function()
  local matcher = skynet.newservice(SERVICE_NAME, "matcher")
  local partner, room, took = {}, {}, {}
  local function join(name, rating, patience)
    skynet.fork(function()
      local began = skynet.now()
      local ok, r, p = pcall(skynet.call_timeout, patience or 1000, matcher, "lua", "join", name, rating)
      took[name] = skynet.now() - began
      if ok then room[name], partner[name] = r, p else partner[name] = r.code end
    end)
  end
  join("ann", 1000)
  join("bob", 1500)
  join("cat", 1040)
  join("dan", 1700)
  join("eve", 3000, 30)
  skynet.sleep(15)
  assert(partner.ann == "cat" and partner.cat == "ann" and room.ann == room.cat)
  assert(not partner.bob and not partner.dan, "they are not alike yet")
  skynet.sleep(200)
  assert(partner.bob == "dan" and room.bob == room.dan and room.bob ~= room.ann)
  assert(took.bob >= 150 and took.bob <= 180, took.bob)
  assert(partner.eve == "deadline" and took.eve == 30)
  -- Who has given up is matched with nobody.
  join("fay", 2950, 100)
  skynet.sleep(120)
  assert(partner.fay == "deadline")
  skynet.sleep(20)
  assert(skynet.call(matcher, "lua", "waiting") == 0)
  print "ok"
end)
