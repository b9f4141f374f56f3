-- A dispatcher hands calls on to workers with skynet.redirect; the worker answers the caller, and the dispatcher is out of it.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, number = ...

if mode == "worker" then
  skynet.start(function()
    tools.serve {
      job = function(n)
        skynet.sleep(n % 3)
        if n == 13 then error({ unlucky = n }) end
        return n * n, number
      end,
      who = function() return select(2, skynet.context()) end,
    }
  end)
  return
elseif mode == "dispatcher" then
  skynet.start(function()
    local workers, next_one = {}, 0
    for i = 1, 3 do workers[i] = skynet.newservice(SERVICE_NAME, "worker", i) end
    skynet.dispatch("lua", function(session, source, ...)
      next_one = next_one % #workers + 1
      skynet.ignoreret()
      skynet.redirect(workers[next_one], source, "lua", session, skynet.pack(...))
    end)
  end)
  return
end

skynet.start(function()
  local dispatcher = skynet.newservice(SERVICE_NAME, "dispatcher")
  assert(skynet.call(dispatcher, "lua", "who") == skynet.self())
  local by, done = {}, 0
  for n = 1, 12 do
    skynet.fork(function()
      local square, worker = skynet.call(dispatcher, "lua", "job", n)
      assert(square == n * n)
      by[worker] = (by[worker] or 0) + 1
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 12 end)
  assert(by[1] == 4 and by[2] == 4 and by[3] == 4)
  assert(tools.fails("", skynet.call, dispatcher, "lua", "job", 13).unlucky == 13)

  -- Answers that are sent by hand.
  skynet.dispatch("lua", function(session, source, what)
    skynet.ignoreret()
    skynet.fork(function()
      if what == "answer" then
        skynet.redirect(source, skynet.self(), "response", session, skynet.pack("by", "hand"))
      else
        skynet.redirect(source, skynet.self(), skynet.PTYPE_ERROR, session, "")
      end
    end)
  end)
  local a, b = skynet.call(skynet.self(), "lua", "answer")
  assert(a == "by" and b == "hand")
  tools.fails("", skynet.call, skynet.self(), "lua", "fail")
  print "ok"
end)
