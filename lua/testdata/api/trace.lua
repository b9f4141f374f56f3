local skynet = require "skynet"

case("trace", "has all that the handler does, and what it calls, written to the log under a tag", function()
  local a = skynet.newservice("service/traced", echo())
  local mine, theirs = skynet.call(a, "lua", "begin")
  expect(mine:find("^:%x+%-%d+$") ~= nil).to_be(true)
  expect(theirs).to_be(mine)
  for _, what in ipairs { "trace because", "call", "request", "response", "sleep", "end" } do
    eventually(function() return logged("<TRACE " .. mine .. "> \\d+ " .. what) end)
  end
end)

case("tracetag", "gives the tag of the handler, nil without one", function()
  expect(skynet.tracetag()).to_be_nil()
  expect(skynet.call(echo(), "lua", "tag")).to_be_nil()
end)

case("tracelog", "writes a line under a tag", function()
  skynet.tracelog("my-tag", "something")
  expect(logged("<TRACE my-tag> \\d+ something : trace.lua:\\d+")).to_be(true)
  expect(function() skynet.tracelog(nil, "x") end).to_fail("a tag of at most 256 bytes is expected")
end)

case("tracecall", "is rawcall under a tag", function()
  expect(skynet.unpack(skynet.tracecall("t-1", echo(), "lua", skynet.pack("tag")))).to_be("t-1")
  expect(function() skynet.tracecall("t-1", ".nobody", "lua", "") end).to_fail("no service is registered")
end)

case("traceproto", "has all messages of a type traced, or none", function()
  local a = skynet.newservice("service/traced", echo())
  expect(skynet.call(a, "lua", "always")).to_be("string")
  expect(skynet.call(a, "lua", "never")).to_be(false)
  expect(function() skynet.traceproto("nothing", true) end).to_fail('unknown message type "nothing"')
end)

case("trace_timeout", "keeps where timers are made, for task", function()
  skynet.trace_timeout(true)
  local co = skynet.timeout(500, function() end)
  skynet.trace_timeout(false)
  expect(skynet.task(skynet.task(co)):find("trace.lua", 1, true) ~= nil).to_be(true)
  skynet.killthread(co)
end)
