local skynet = require "skynet"

case("fork", "runs a function with its arguments behind the present message, and returns its coroutine", function()
  local order = {}
  local co = skynet.fork(function(a, b, c)
    order[#order + 1] = { a, b, c }
    order.co = coroutine.running()
  end, 1, nil, 3)
  expect(type(co)).to_be("thread")
  expect(#order).to_be(0)
  skynet.sleep(0)
  expect(order[1][1]).to_be(1)
  expect(order[1][3]).to_be(3)
  expect(order.co).to_be(co)
  expect(function() skynet.fork(1) end).to_fail("a function is expected as argument 1, got number")
end)

case("fork", "has no deadline of the handler that made it", function()
  local a = skynet.newservice("service/forks", echo())
  expect(skynet.call_timeout(10, a, "lua", "fork")).to_be("forked")
  eventually(function() return skynet.call(a, "lua", "seen") == "slow" end)
end)

case("fork", "logs the error of its function", function()
  skynet.fork(function() error("forked and failed") end)
  eventually(function() return logged("script failed.*time.lua:%d+: forked and failed") end)
end)

case("timeout", "runs a function when the time in 1/100 s has passed, and returns its coroutine", function()
  local order = {}
  local co
  skynet.timeout(2, function() order[#order + 1] = "two" end)
  co = skynet.timeout(1, function() order[#order + 1] = "one" order.co = coroutine.running() end)
  expect(type(co)).to_be("thread")
  eventually(function() return #order == 2 end)
  expect(order[1]).to_be("one")
  expect(order.co).to_be(co)
  expect(function() skynet.timeout("x", print) end).to_fail("a time in 1/100 s is expected as argument 1, got string")
  expect(function() skynet.timeout(1) end).to_fail("a function is expected as argument 2, got no value")
end)

case("timeout", "of 0 comes behind the messages that wait already", function()
  local order = {}
  skynet.dispatch("text", function() order[#order + 1] = "message" end)
  skynet.send(skynet.self(), "text")
  skynet.timeout(0, function() order[#order + 1] = "timeout" end)
  skynet.fork(function() order[#order + 1] = "fork" end)
  eventually(function() return #order == 3 end)
  expect(order).to_equal({ "fork", "message", "timeout" })
end)

case("timeout", "takes fractions: a resolution of 1 ms", function()
  local began, took = skynet.hpc(), nil
  skynet.timeout(0.2, function() took = (skynet.hpc() - began) / 1e6 end)
  eventually(function() return took end)
  expect(took >= 2).to_be(true)
end)

case("sleep", "lets time pass, and other messages be handled", function()
  local began = skynet.hpc()
  expect(skynet.sleep(2)).to_be_nil()
  expect((skynet.hpc() - began) / 1e6 >= 20).to_be(true)
  expect(function() skynet.sleep() end).to_fail("a time in 1/100 s is expected")
end)

case("sleep", "gives BREAK when it is ended early", function()
  local me = coroutine.running()
  skynet.fork(function() expect(skynet.wakeup(me)).to_be(true) end)
  expect(skynet.sleep(6000)).to_be("BREAK")
  skynet.fork(function() skynet.wakeup("token") end)
  expect(skynet.sleep(6000, "token")).to_be("BREAK")
end)

case("sleep", "refuses a token that another wait has", function()
  skynet.fork(function() skynet.wait("mine") end)
  skynet.sleep(0)
  expect(function() skynet.sleep(1, "mine") end).to_fail("the token is used by another wait")
  expect(skynet.wakeup("mine")).to_be(true)
  skynet.sleep(0)
  expect(skynet.sleep(0, "mine")).to_be_nil()
end)

case("yield", "lets what waits already run", function()
  local ran
  skynet.fork(function() ran = true end)
  skynet.yield()
  expect(ran).to_be(true)
end)

case("wait", "waits until wakeup names the token, or the coroutine", function()
  local done = {}
  local t = {}
  skynet.fork(function() done[1] = select("#", skynet.wait(t)) end)
  local co = skynet.fork(function() skynet.wait() done[2] = true end)
  skynet.sleep(0)
  expect(done[1]).to_be_nil()
  expect(skynet.wakeup(t)).to_be(true)
  expect(skynet.wakeup(co)).to_be(true)
  skynet.sleep(0)
  expect(done).to_equal({ 0, true })
end)

case("wakeup", "gives false where nobody waits", function()
  expect(skynet.wakeup("nobody")).to_be(false)
  expect(skynet.wakeup(nil)).to_be(false)
end)

case("wakeup", "has those who are woken run before what is forked, in the order in which they were", function()
  local order = {}
  for i = 1, 3 do skynet.fork(function() skynet.wait(i) order[#order + 1] = i end) end
  skynet.sleep(0)
  skynet.fork(function() order[#order + 1] = "fork" end)
  for i = 1, 3 do skynet.wakeup(i) end
  skynet.sleep(0)
  expect(order).to_equal({ 1, 2, 3, "fork" })
end)

case("killthread", "ends a coroutine that waits, and gives it", function()
  local ran
  local co = skynet.fork(function() skynet.sleep(2) ran = true end)
  skynet.sleep(0)
  expect(skynet.killthread(co)).to_be(co)
  skynet.sleep(3)
  expect(ran).to_be_nil()
  expect(skynet.killthread(co)).to_be_nil()
end)

case("killthread", "ends a timer and a fork before they run", function()
  local ran
  expect(type(skynet.killthread(skynet.timeout(1, function() ran = true end)))).to_be("thread")
  expect(type(skynet.killthread(skynet.fork(function() ran = true end)))).to_be("thread")
  skynet.sleep(2)
  expect(ran).to_be_nil()
end)

case("killthread", "finds a coroutine by its name, and fails the call that it handles", function()
  local a = skynet.newservice("service/forks", echo())
  local err
  skynet.fork(function() err = select(2, pcall(skynet.call, a, "lua", "hang")) end)
  skynet.sleep(0)
  eventually(function() return skynet.call(a, "lua", "kill") end)
  eventually(function() return err end)
  expect(err.message:find("skynet.killthread", 1, true) ~= nil).to_be(true)
  expect(skynet.killthread("no such thread")).to_be_nil()
  expect(function() skynet.killthread({}) end).to_fail("a coroutine or a part of its name is expected, got table")
end)

case("now", "is the time in 1/100 s since the node started", function()
  local a = skynet.now()
  skynet.sleep(2)
  expect(skynet.now() - a >= 2).to_be(true)
  expect(a % 1).to_be(0)
end)

case("time", "is the time in seconds since 1970, to 1/100 s", function()
  expect(math.abs(skynet.time() - os.time()) < 3).to_be(true)
end)

case("starttime", "is when the node started, in seconds since 1970", function()
  expect(skynet.starttime() % 1).to_be(0)
  expect(skynet.time() - skynet.starttime() < 60).to_be(true)
end)

case("hpc", "counts nanoseconds", function()
  local a = skynet.hpc()
  skynet.sleep(1)
  local passed = skynet.hpc() - a
  expect(passed >= 1e7 and passed < 1e10).to_be(true)
end)
