local skynet = require "skynet"
require "skynet.manager"

case("getenv", "gives a variable of the node, nil if there is none", function()
  expect(skynet.getenv("color")).to_be("blue")
  expect(skynet.getenv("nothing")).to_be_nil()
end)

case("setenv", "sets a variable once", function()
  skynet.setenv("answer", 42)
  expect(skynet.getenv("answer")).to_be("42")
  expect(function() skynet.setenv("answer", 43) end).to_fail('"answer" is set already')
  expect(function() skynet.setenv("x") end).to_fail("a name and a value are expected")
end)

case("error", "writes a line to the log", function()
  skynet.error("some", 1, nil, true)
  expect(logged("some 1 nil true")).to_be(true)
end)

case("mqlen", "is how many messages wait", function()
  local a = echo()
  expect(skynet.call(a, "lua", "mqlen")).to_be(0)
end)

case("stat", "gives figures of the service", function()
  expect(skynet.stat("mqlen")).to_be(0)
  expect(skynet.stat("message") >= 0).to_be(true)
  expect(skynet.stat("cpu") >= 0).to_be(true)
  expect(skynet.stat("time") >= 0).to_be(true)
  expect(skynet.stat("endless")).to_be(0)
  expect(function() skynet.stat("weather") end).to_fail("mqlen, message, cpu, time or endless is expected")
end)

case("endless", "tells once that a handler has computed for too long", function()
  local a = skynet.newservice("service/busy")
  expect(skynet.call(a, "lua", "endless")).to_be(false)
  expect(select(2, pcall(skynet.call, a, "lua", "loop")).message:find("CPU budget exceeded", 1, true) ~= nil).to_be(true)
  expect(skynet.call(a, "lua", "endless")).to_be(true)
  expect(skynet.call(a, "lua", "endless")).to_be(false)
end)

case("task", "tells how many coroutines wait, and their stacks", function()
  local before = skynet.task()
  local co = skynet.fork(function() skynet.wait("task") end)
  skynet.sleep(0)
  expect(skynet.task()).to_be(before + 1)
  local session = skynet.task(co)
  expect(type(session)).to_be("number")
  expect(skynet.task(session):find("node.lua", 1, true) ~= nil).to_be(true)
  local tasks = {}
  skynet.task(tasks)
  local stack = tasks[tostring(co) .. " session: " .. session]
  expect(stack:find("node.lua", 1, true) ~= nil).to_be(true)
  skynet.wakeup("task")
  skynet.sleep(0)
  expect(skynet.task(session)).to_be("No session")
  expect(skynet.task(coroutine.running())).to_be_nil()
  expect(function() skynet.task("x") end).to_fail('"init" is expected')
end)

case("task", "gives the stack of the start function while that runs", function()
  expect(skynet.task("init")).to_be_nil()
  local a = skynet.newservice("service/busy")
  expect(skynet.call(a, "lua", "init"):find("service/busy.lua", 1, true) ~= nil).to_be(true)
end)

case("uniqtask", "gives the stacks that are the same once", function()
  for _ = 1, 12 do skynet.fork(function() skynet.wait(coroutine.running()) end) end
  skynet.sleep(0)
  local found
  for head, stack in pairs(skynet.uniqtask()) do
    if head:find("^12\tsessions:%[[%d,]+%.%.%.%]\n$") then found = stack end
  end
  expect(found:find("node.lua", 1, true) ~= nil).to_be(true)
end)

case("term", "fails the calls that wait for a service, and what is asked of it", function()
  local e = echo()
  local err
  skynet.fork(function() err = select(2, pcall(skynet.call, e, "lua", "hang")) end)
  skynet.sleep(0)
  local selected
  skynet.fork(function() for _, resp in skynet.request { e, "lua", "hang" }:select() do selected = resp end end)
  skynet.sleep(0)
  skynet.term(e)
  eventually(function() return err and selected ~= nil end)
  expect(err.code).to_be("stopped")
  expect(selected).to_be(false)
  expect(skynet.call(e, "lua", "echo", 1)).to_be(1)
  expect(function() skynet.term(".nobody") end).to_fail("no service is registered")
end)

case("info_func", "answers the console's command info", function()
  local a = skynet.newservice("service/busy")
  expect(skynet.call(a, "debug", "INFO", "x")).to_equal({ "info", "x" })
  expect(skynet.call(echo(), "debug", "INFO")).to_be_nil()
  expect(skynet.call(echo(), "debug", "STAT").mqlen).to_be(0)
  expect(select("#", skynet.call(echo(), "debug", "PING"))).to_be(0)
  expect(skynet.call(skynet.newservice("service/chain"), "debug", "STAT").task).to_be(0)
  expect(skynet.call(echo(), "debug", "SUPPORT", "lua")).to_be(true)
  expect(skynet.call(echo(), "debug", "SUPPORT", "client")).to_be(false)
  expect(function() skynet.call(echo(), "debug", "WHAT") end).to_fail("no command WHAT")
  expect(function() skynet.info_func(1) end).to_fail("a function is expected, got number")
end)

case("memlimit", "bounds the memory of the service's VM, which lives on", function()
  local a = skynet.newservice("service/limited")
  expect(function() skynet.call(a, "lua", "grow") end).to_fail("not enough memory")
  expect(skynet.call(a, "lua", "hello")).to_be("hello")
  expect(skynet.call(a, "lua", "again"):find("can be set once only", 1, true) ~= nil).to_be(true)
end)

case("memlimit", "is for a service that has not started", function()
  expect(function() skynet.memlimit(1e6) end).to_fail("has to be set before the service starts")
  expect(function() skynet.memlimit("x") end).to_fail("a number of bytes is expected")
end)

case("pcall", "is pcall", function() expect(skynet.pcall).to_be(pcall) end)

case("cache", "has clear, mode and loadfile", function()
  local cache = skynet.cache
  expect(cache).to_be(require "skynet.codecache")
  expect(select("#", cache.clear())).to_be(0)
  expect(cache.mode()).to_be("ON")
  expect(cache.mode("EXIST")).to_be("ON")
  expect(cache.mode("ON")).to_be("EXIST")
  expect(function() cache.mode("SOME") end).to_fail('"ON", "OFF" or "EXIST" is expected')
  local f = cache.loadfile("service/late.lua")
  expect(type(f)).to_be("function")
  local none, err = cache.loadfile("service/none.lua")
  expect(none).to_be_nil()
  expect(err).to_be("there is no file service/none.lua in the project")
  none, err = cache.loadfile("../../../etc/passwd")
  expect(none).to_be_nil()
  expect(err:find("is not the name of a file of the project", 1, true) ~= nil).to_be(true)
end)
