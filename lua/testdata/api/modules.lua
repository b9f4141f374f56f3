local skynet = require "skynet"
local queue = require "skynet.queue"
local service = require "skynet.service"
local profile = require "skynet.profile"
local skynetco = require "skynet.coroutine"

case("skynet.queue", "runs what is called through it one after the other, in order", function()
  local cs, order = queue(), {}
  for i = 1, 3 do
    skynet.fork(function()
      cs(function(n)
        order[#order + 1] = "begin " .. n
        skynet.sleep(1)
        order[#order + 1] = "end " .. n
      end, i)
    end)
  end
  eventually(function() return #order == 6 end)
  expect(order).to_equal({ "begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3" })
end)

case("skynet.queue", "gives the function's results, and passes its error on and goes on", function()
  local cs = queue()
  local n = select("#", cs(function(...) return ... end, nil, 2, nil))
  expect(n).to_be(3)
  expect(function() cs(function() error("inside") end) end).to_fail("inside")
  expect(cs(function() return cs(function() return "nested" end) end)).to_be("nested")
end)

case("skynet.service", "runs a function as a service that is there once", function()
  local a = service.new("counter", function(first)
    local skynet = require "skynet"
    local n = first
    skynet.start(function()
      skynet.dispatch("lua", function(_, _, by)
        n = n + by
        skynet.retpack(n, SERVICE_NAME)
      end)
    end)
  end, 40)
  expect(skynet.call(a, "lua", 2)).to_be(42)
  expect(service.new("counter", function() end)).to_be(a)
  expect(service.query("counter")).to_be(a)
  expect(service.close("counter")).to_be(true)
  expect(service.close("counter")).to_be(false)
end)

case("skynet.service", "takes a function that sets handlers, or returns a table of them", function()
  local a = service.new("sets", function()
    local skynet = require "skynet"
    skynet.dispatch("lua", function() skynet.retpack("set") end)
  end)
  local b = service.new("returns", function()
    return { hello = function() return "returned" end }
  end)
  expect(skynet.call(a, "lua")).to_be("set")
  expect(skynet.call(b, "lua", "hello")).to_be("returned")
end)

case("skynet.service", "passes on errors with the line of the file, and refuses local variables of it", function()
  expect(function()
    service.new("fails", function()
      error("no service")
    end)
  end).to_fail("modules.lua:%d+: no service")
  local outside, other = 1, 2
  expect(function()
    service.new("closed", function()
      print(outside + other)
    end)
  end).to_fail("it can't use local variables of the file")
  expect(function() service.new("two", function() end) end).to_fail("two functions begin on line %d+ and end on line %d+")
  expect(function() service.new("none", 1) end).to_fail("a function is expected as argument 2, got number")
end)

case("skynet.profile", "counts the time that a coroutine computes and not its waits", function()
  profile.start()
  skynet.sleep(50)
  local until_then = skynet.hpc() + 5e6
  while skynet.hpc() < until_then do end
  local spent = profile.stop()
  expect(spent >= 0.004).to_be(true)
  expect(spent < 0.4).to_be(true)
  expect(function() profile.stop() end).to_fail("profile.start has not been called")
  profile.start()
  expect(function() profile.start() end).to_fail("has been called for this coroutine already")
  profile.stop()
end)

case("skynet.coroutine", "resumes, yields and wraps as coroutine does", function()
  local co = skynetco.create(function(a)
    local b = skynetco.yield(a + 1)
    return b * 2
  end)
  expect(skynetco.status(co)).to_be("suspended")
  expect(select(2, skynetco.resume(co, 1))).to_be(2)
  expect(select(2, skynetco.resume(co, 21))).to_be(42)
  expect(skynetco.status(co)).to_be("dead")
  expect(skynetco.resume(co)).to_be(false)
  local f = skynetco.wrap(function(x) skynetco.yield(x) error("wrapped", 0) end)
  expect(f(5)).to_be(5)
  expect(f).to_fail("wrapped")
end)

case("skynet.coroutine", "waits in them: that suspends the handler, and the coroutine is blocked for others", function()
  local co = skynetco.create(function()
    skynetco.yield("first")
    skynet.sleep(2)
    return "last"
  end)
  expect(select(2, skynetco.resume(co))).to_be("first")
  local status, refused
  skynet.fork(function()
    status = skynetco.status(co)
    refused = select(2, skynetco.resume(co))
  end)
  expect(select(2, skynetco.resume(co))).to_be("last")
  expect(status).to_be("blocked")
  expect(refused).to_be("cannot resume a skynet coroutine suspend by skynet framework")
  expect(skynetco.status(co)).to_be("dead")
end)

case("skynet.coroutine", "waits for calls, and gets their errors", function()
  local f = skynetco.wrap(function()
    local a = skynet.call(echo(), "lua", "echo", 42)
    skynetco.yield(a)
    local e = select(2, pcall(skynet.call, echo(), "lua", "fail"))
    skynetco.yield(e.code)
    skynet.call(echo(), "lua", "fail", "uncaught")
  end)
  expect(f()).to_be(42)
  expect(f()).to_be("failed")
  expect(f).to_fail("uncaught")
end)

case("skynet.coroutine", "tells the coroutine of the handler that one runs in", function()
  local main, isMain = skynetco.thread()
  expect(isMain).to_be(true)
  skynetco.wrap(function()
    local co, own = skynetco.thread()
    expect(co).to_be(main)
    expect(own).to_be(false)
    expect(skynetco.running() ~= main).to_be(true)
    expect(skynetco.isyieldable()).to_be(true)
  end)()
end)
