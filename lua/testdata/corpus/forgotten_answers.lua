-- The mistakes with answers: none, two, one too late, one that can't be packed, and a message that has nobody to answer.
-- expect: did not answer
-- expect: answered already
-- expect: a function cannot be sent
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "careless" then
  skynet.start(function()
    skynet.dispatch("lua", function(session, _, what)
      if what == "twice" then
        skynet.retpack("first")
        skynet.retpack("second")
      elseif what == "ignored" then
        skynet.ignoreret()
      elseif what == "unsendable" then
        skynet.retpack({ f = print })
      elseif what == "both" then
        local r = skynet.response()
        assert(not pcall(skynet.retpack, "directly"))
        r(true, "by response")
        assert(not pcall(r, true, "again"))
      elseif what == "send" then
        assert(session == 0)
        skynet.retpack("to nobody")
      elseif what == "later" then
        local co = coroutine.running()
        skynet.fork(function()
          assert(not pcall(skynet.retpack, "a fork has no request"))
          skynet.wakeup(co)
        end)
        skynet.wait(co)
        skynet.retpack("fine")
      elseif what == "empty" then
        skynet.ret()
      end
    end)
  end)
  return
end

skynet.start(function()
  local careless = skynet.newservice(SERVICE_NAME, "careless")
  tools.fails("did not answer", skynet.call, careless, "lua", "nothing")
  assert(skynet.call(careless, "lua", "twice") == "first")
  assert(tools.fails("", skynet.call_timeout, 10, careless, "lua", "ignored").code == "deadline")
  tools.fails("a function cannot be sent", skynet.call, careless, "lua", "unsendable")
  assert(skynet.call(careless, "lua", "both") == "by response")
  skynet.send(careless, "lua", "send")
  assert(skynet.call(careless, "lua", "later") == "fine")
  assert(select("#", skynet.call(careless, "lua", "empty")) == 0)
  print "ok"
end)
