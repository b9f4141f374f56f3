-- expect: mailbox
-- Thousands of messages of many senders at once: none is lost, and those of one sender keep their order, also among sends and calls.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, sink, number = ...

if mode == "sink" then
  skynet.start(function()
    local last, total, wrong = {}, 0, 0
    skynet.dispatch("lua", function(session, source, command, n)
      if command == "result" then return skynet.retpack(total, wrong) end
      if (last[source] or 0) + 1 ~= n then wrong = wrong + 1 end
      last[source] = n
      total = total + 1
      if session > 0 then skynet.retpack(n) end
    end)
  end)
  return
elseif mode == "sender" then
  skynet.start(function()
    skynet.dispatch("lua", function(_, _, count)
      for n = 1, count do
        if n % 50 == 0 then
          assert(skynet.call(sink, "lua", "count", n) == n)
        else
          skynet.send(sink, "lua", "count", n)
        end
        if n % 70 == number then skynet.yield() end
      end
      skynet.retpack(count)
    end)
  end)
  return
end

skynet.start(function()
  sink = skynet.newservice(SERVICE_NAME, "sink")
  local senders = skynet.request()
  for i = 1, 8 do senders:add { skynet.newservice(SERVICE_NAME, "sender", sink, i), "lua", 400 } end
  local sent = 0
  for _, resp in senders:select() do sent = sent + resp[1] end
  assert(sent == 3200)
  local total, wrong = skynet.call(sink, "lua", "result")
  assert(total == 3200 and wrong == 0, total .. " " .. wrong)

  -- To itself, as many as it likes.
  local got = 0
  skynet.dispatch("lua", function(_, _, n)
    got = got + 1
    assert(n == got)
  end)
  for n = 1, 1500 do skynet.send(skynet.self(), "lua", n) end
  assert(got == 0)
  tools.eventually(function() return got == 1500 end)
  print "ok"
end)
