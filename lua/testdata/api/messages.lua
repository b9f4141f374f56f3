local skynet = require "skynet"
require "skynet.manager"

case("call", "gives all values of the answer, nil among them", function()
  local n, a, b, c = select("#", skynet.call(echo(), "lua", "echo", 1, nil, { x = { "y" } }))
  expect(n).to_be(3)
  a, b, c = skynet.call(echo(), "lua", "echo", 1, nil, { x = { "y" } })
  expect(a).to_be(1)
  expect(b).to_be_nil()
  expect(c).to_equal({ x = { "y" } })
end)

case("call", "raises an error with code, message and the tracebacks of both sides when the handler fails", function()
  local ok, e = pcall(skynet.call, echo(), "lua", "fail", "boom")
  expect(ok).to_be(false)
  expect(e.code).to_be("failed")
  expect(e.message:find("service/echo.lua:%d+: boom") ~= nil).to_be(true)
  expect(e.traceback:find("service/echo.lua", 1, true) ~= nil).to_be(true)
  expect(e.traceback:find("called by runner", 1, true) ~= nil).to_be(true)
  expect(e.traceback:find("messages.lua", 1, true) ~= nil).to_be(true)
end)

case("call", "raises errors that are text to who takes them for that", function()
  local _, e = pcall(skynet.call, echo(), "lua", "fail", "boom")
  expect(tostring(e):find("boom", 1, true) ~= nil).to_be(true)
  expect(("failed: " .. e):find("failed: .*boom") ~= nil).to_be(true)
  expect((e .. "!"):sub(-1)).to_be("!")
  expect(e:find("boom", 1, true) ~= nil).to_be(true)
  expect(e:upper():find("BOOM", 1, true) ~= nil).to_be(true)
  local again = select(2, pcall(error, e))
  expect(again.code).to_be("failed")
end)

case("call", "hands an error on with the stacks of the whole chain", function()
  local e = select(2, pcall(skynet.call, echo(), "lua", "deep", echo()))
  expect(e.message:find("deep down", 1, true) ~= nil).to_be(true)
  local _, stacks = e.traceback:gsub("stack traceback:", "")
  expect(stacks).to_be(3)
end)

case("call", "gives a table that the handler raised as it was", function()
  local _, e = pcall(skynet.call, echo(), "lua", "raise", { code = "poor", price = 10 })
  expect(e).to_equal({ code = "poor", price = 10 })
end)

case("call", "tells a service that is gone, and one that ends meanwhile", function()
  local e = echo()
  skynet.fork(function() skynet.kill(e) end)
  local ok, err = pcall(skynet.call, e, "lua", "hang")
  expect(ok).to_be(false)
  expect(err.code).to_be("stopped")
  eventually(function() return select(2, pcall(skynet.call, e, "lua", "echo")).code == "no_actor" end)
end)

case("call", "refuses an address, a type and values that can't be", function()
  expect(function() skynet.call({}, "lua") end).to_fail("bad address: a number or a name is expected, got table")
  expect(function() skynet.call(".nobody", "lua") end).to_fail('no service is registered as ".nobody"')
  expect(function() skynet.call(skynet.self(), "luna") end).to_fail('unknown message type "luna"')
  expect(function() skynet.call(skynet.self(), "lua", { f = print }) end).to_fail("argument 1.f: a function cannot be sent")
end)

case("call_timeout", "raises a deadline error when the time in 1/100 s is over", function()
  local began = skynet.hpc()
  local ok, e = pcall(skynet.call_timeout, 2, echo(), "lua", "hang")
  expect(ok).to_be(false)
  expect(e.code).to_be("deadline")
  expect((skynet.hpc() - began) / 1e6 < 1000).to_be(true)
  expect(function() skynet.call_timeout("soon", skynet.self(), "lua") end).to_fail("a time in 1/100 s is expected")
end)

case("call_timeout", "passes what is left on to the calls of the handler", function()
  local a = skynet.newservice("service/chain", echo())
  pcall(skynet.call_timeout, 5, a, "lua", "chain") -- fails, unless the handler, whose call is over at the same time, is faster
  eventually(function() return skynet.call(a, "lua", "seen") == "deadline" end)
end)

case("call_timeout", "still bounds a handler that another one has woken", function()
  local a = skynet.newservice("service/chain", echo())
  skynet.fork(function() pcall(skynet.call_timeout, 8, a, "lua", "sleep then chain") end)
  skynet.sleep(1)
  expect(skynet.call(a, "lua", "wake")).to_be(true)
  eventually(function() return skynet.call(a, "lua", "seen") == "deadline" end)
end)

case("send", "does not wait, and its handler has session 0", function()
  local e = echo()
  local got
  skynet.dispatch("text", function(session, source, text) got = { session, source, text } end)
  skynet.send(e, "lua", "post", "x")
  expect(type(skynet.send(skynet.self(), "text", "hello"))).to_be("number")
  expect(got).to_be_nil()
  eventually(function() return got end)
  expect(got).to_equal({ 0, skynet.self(), "hello" })
end)

case("send", "keeps the order", function()
  local order = {}
  skynet.dispatch("text", function(_, _, i) order[#order + 1] = i end)
  for i = 1, 100 do skynet.send(skynet.self(), "text", i) end
  eventually(function() return #order == 100 end)
  for i = 1, 100 do expect(order[i]).to_be(i) end
end)

case("rawcall", "takes a buffer and gives one", function()
  local msg, sz = skynet.rawcall(echo(), "lua", skynet.pack("echo", 1, "two"))
  expect(type(msg)).to_be("userdata")
  expect(sz > 0).to_be(true)
  local a, b = skynet.unpack(msg, sz)
  expect(a).to_be(1)
  expect(b).to_be("two")
end)

case("rawcall", "takes the bytes of a string, too", function()
  expect(skynet.unpack(skynet.rawcall(echo(), "lua", skynet.packstring("echo", 7)))).to_be(7)
  expect((skynet.rawcall(echo(), 50, "abc"))).to_be("ABC")
end)

case("rawcall", "raises the errors of call, and refuses what is no buffer", function()
  expect(select(2, pcall(skynet.rawcall, echo(), "lua", skynet.pack("fail"))).code).to_be("failed")
  expect(function() skynet.rawcall(skynet.self(), "lua", 7) end).to_fail("a message that skynet.pack made, or a string, is expected, got number")
end)

case("rawsend", "sends a buffer", function()
  local got
  skynet.dispatch("text", function(_, _, ...) got = { ... } end)
  skynet.rawsend(skynet.self(), "text", skynet.pack("a", 2))
  eventually(function() return got end)
  expect(got).to_equal({ "a", 2 })
  expect(function() skynet.rawsend(skynet.self(), "text") end).to_fail("a string, is expected")
end)

case("redirect", "sends in the name of another", function()
  local got
  skynet.dispatch("text", function(session, source, ...) got = { session, source, ... } end)
  skynet.redirect(skynet.self(), 77, "text", 0, skynet.pack("x"))
  eventually(function() return got end)
  expect(got).to_equal({ 0, 77, "x" })
end)

case("redirect", "gives the handler the session that it is told", function()
  local got
  skynet.dispatch("text", function(session, source, ...) got = { session, source, ... } end)
  skynet.redirect(skynet.self(), 77, "text", 1234, skynet.pack("x"))
  eventually(function() return got end)
  expect(got).to_equal({ 1234, 77, "x" })
end)

case("redirect", "hands a request on to who answers it", function()
  local front, back = echo(), echo()
  expect(skynet.call(front, "lua", "forward", back, "echo", 42)).to_be(42)
  expect(select(2, pcall(skynet.call, front, "lua", "forward", back, "fail", "over there")).message:find("over there", 1, true) ~= nil).to_be(true)
end)

case("redirect", "answers a request by its session", function()
  local a = skynet.newservice("service/byhand")
  expect(skynet.call(a, "lua", "response")).to_be("by hand")
  expect(select(2, pcall(skynet.call, a, "lua", "error")).code).to_be("failed")
end)

case("ret", "answers with a buffer, or with bytes", function()
  skynet.register_protocol { name = "bytes", id = 50, pack = function(s) return s end, unpack = skynet.tostring }
  expect(skynet.call(echo(), "lua", "echo", "packed")).to_be("packed")
  expect(skynet.call(echo(), "bytes", "abc")).to_be("ABC")
end)

case("ret", "answers a text with a text, whoever has registered a protocol for it", function()
  expect(skynet.call(echo(), "text", "abc")).to_be("text abc")
  expect(skynet.tostring(skynet.rawcall(echo(), skynet.PTYPE_TEXT, "abc"))).to_be("text abc")
end)

case("ret", "tells who forgot it, and who calls it twice", function()
  expect(select(2, pcall(skynet.call, echo(), "lua", "nothing")).message:find("service/echo.lua:25: the handler did not answer (skynet.ret)", 1, true) ~= nil).to_be(true)
  expect(skynet.call(echo(), "lua", "twice")).to_be("once")
  eventually(function() return logged("service/echo.lua:%d+: skynet.retpack: the request has been answered already") end)
end)

case("ret", "is false where nobody waits, and an error where there is nothing to answer", function()
  local results
  skynet.dispatch("text", function() results = { skynet.ret("x") } end)
  skynet.send(skynet.self(), "text")
  eventually(function() return results end)
  expect(results).to_equal({ false })
  local err
  skynet.fork(function() err = select(2, pcall(skynet.ret, "x")) end)
  eventually(function() return err end)
  expect(err:find("there is no request to answer", 1, true) ~= nil).to_be(true)
end)

case("retpack", "answers with its arguments", function()
  local n = select("#", skynet.call(echo(), "lua", "echo", nil, nil))
  expect(n).to_be(2)
  local a = skynet.newservice("service/byhand")
  expect(select("#", skynet.call(a, "lua", "retpack"))).to_be(3)
  expect(select(2, pcall(skynet.call, a, "lua", "unsendable")).message:find("argument 2: a function cannot be sent", 1, true) ~= nil).to_be(true)
end)

case("response", "answers later, once", function()
  local e = echo()
  local got
  skynet.fork(function() got = skynet.call(e, "lua", "later") end)
  skynet.sleep(0)
  eventually(function() return skynet.call(e, "lua", "task") == 0 end)
  expect(skynet.call(e, "lua", "test")).to_be(true)
  expect(skynet.call(e, "lua", "answer", true, "at last")).to_be(true)
  eventually(function() return got end)
  expect(got).to_be("at last")
end)

case("response", "can refuse", function()
  local e = echo()
  local err
  skynet.fork(function() err = select(2, pcall(skynet.call, e, "lua", "later")) end)
  skynet.sleep(0)
  expect(skynet.call(e, "lua", "answer", false)).to_be(true)
  eventually(function() return err end)
  expect(err.code).to_be("failed")
end)

case("response", "tells by TEST whether somebody still waits", function()
  local a = skynet.newservice("service/byhand")
  pcall(skynet.call_timeout, 1, a, "lua", "hold")
  eventually(function() return skynet.call(a, "lua", "held") == false end)
end)

case("response", "packs as it is told, and is an error when it is used twice", function()
  local a = skynet.newservice("service/byhand")
  expect(skynet.call(a, "lua", "packs")).to_be("packed by hand")
  expect(skynet.call(a, "lua", "used")).to_be("again")
  eventually(function() return skynet.call(a, "lua", "error of used"):find("the request has been answered already", 1, true) end)
end)

case("ignoreret", "leaves a call without an answer", function()
  local e = select(2, pcall(skynet.call_timeout, 2, echo(), "lua", "ignored"))
  expect(e.code).to_be("deadline")
  expect(not logged("ignored.*did not answer")).to_be(true)
end)

case("context", "gives the session and the source", function()
  local session, source = skynet.call(echo(), "lua", "context")
  expect(session > 0).to_be(true)
  expect(source).to_be(skynet.self())
  local n
  skynet.fork(function() n = select("#", skynet.context()) end)
  eventually(function() return n end)
  expect(n).to_be(0)
end)

case("genid", "gives a number once", function()
  local seen = {}
  for _ = 1, 100 do
    local id = skynet.genid()
    expect(seen[id]).to_be_nil()
    expect(id > 0).to_be(true)
    seen[id] = true
  end
end)
