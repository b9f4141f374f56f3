local skynet = require "skynet"
require "skynet.manager"

case("register_protocol", "has messages of a type packed and unpacked by functions of the service", function()
  skynet.register_protocol {
    name = "pair", id = 60,
    pack = function(a, b) return a .. "=" .. b end,
    unpack = function(msg, sz) local a, b = skynet.tostring(msg, sz):match("(.*)=(.*)") return a, b end,
    dispatch = function(session, _, a, b) skynet.ret(b .. "=" .. a) end,
  }
  local a, b = skynet.call(skynet.self(), "pair", "x", "y")
  expect(a).to_be("y")
  expect(b).to_be("x")
  a = skynet.call(skynet.self(), 60, "1", "2")
  expect(a).to_be("2")
end)

case("register_protocol", "carries the values of skynet.pack under any name, too", function()
  skynet.register_protocol { name = "values", id = 61, pack = skynet.pack, unpack = skynet.unpack }
  skynet.dispatch("values", function(_, _, ...) skynet.retpack(...) end)
  local a, b = skynet.call(skynet.self(), "values", { 1, { 2 } }, nil)
  expect(a).to_equal({ 1, { 2 } })
  expect(b).to_be_nil()
end)

case("register_protocol", "lets each side pack as it likes", function()
  skynet.register_protocol { name = "mixed", id = 62, pack = skynet.packstring, unpack = skynet.unpack }
  skynet.dispatch("mixed", function(_, _, ...) skynet.ret(skynet.pack(...)) end)
  expect(skynet.call(skynet.self(), "mixed", { "x" })).to_equal({ "x" })
end)

case("register_protocol", "refuses a name or a type that is taken, and what is no protocol", function()
  expect(function() skynet.register_protocol { name = "lua", id = 63 } end).to_fail("there is a protocol of this name already")
  expect(function() skynet.register_protocol { name = "other", id = skynet.PTYPE_LUA } end).to_fail('the type 10 is that of the protocol "lua" already')
  expect(function() skynet.register_protocol { name = "x", id = 256 } end).to_fail("an integer from 0 to 255")
  expect(function() skynet.register_protocol { id = 70 } end).to_fail("the field name has to be a string")
  expect(function() skynet.register_protocol { name = "x", id = 70, pack = 1 } end).to_fail("the field pack has to be a function, got number")
  expect(function() skynet.register_protocol("x") end).to_fail("a table is expected, got string")
end)

case("register_protocol", "tells who sends or gets without a function for it", function()
  skynet.register_protocol { name = "mute", id = 64, dispatch = function() end }
  expect(function() skynet.send(skynet.self(), "mute", 1) end).to_fail('the protocol "mute" has been registered without a function pack')
  local e = select(2, pcall(skynet.rawcall, skynet.self(), "mute", "x"))
  expect(e.message:find('registered without a function unpack', 1, true) ~= nil).to_be(true)
end)

case("register_protocol", "passes on the errors of its functions", function()
  skynet.register_protocol {
    name = "broken", id = 65,
    pack = function(x) if x == "pack" then error("can't pack") end return x end,
    unpack = function(msg) if msg ~= "fine" then error("can't unpack " .. msg) end return msg end,
    dispatch = function(_, _, x) skynet.ret("bad answer") end,
  }
  expect(function() skynet.call(skynet.self(), "broken", "pack") end).to_fail("can't pack")
  expect(function() skynet.call(skynet.self(), "broken", "unpack") end).to_fail("can't unpack unpack")
  expect(function() skynet.call(skynet.self(), "broken", "fine") end).to_fail("can't unpack bad answer")
end)

case("dispatch", "sets the function for a type, and gives the one before", function()
  local function one() skynet.ret("one") end
  local function two() skynet.ret("two") end
  skynet.register_protocol { name = "d", id = 66, pack = function() return "" end, unpack = skynet.tostring }
  expect(skynet.dispatch("d")).to_be_nil()
  expect(skynet.dispatch("d", one)).to_be_nil()
  expect(skynet.dispatch("d", two)).to_be(one)
  expect(skynet.dispatch("d")).to_be(two)
  expect(skynet.call(skynet.self(), "d")).to_be("two")
  expect(skynet.dispatch("none")).to_be_nil()
  expect(function() skynet.dispatch("none", one) end).to_fail('unknown message type "none"')
  expect(function() skynet.dispatch("d", 1) end).to_fail("a function is expected as argument 2")
end)

case("dispatch_message", "handles a message as if it had come", function()
  local got
  skynet.register_protocol { name = "fed", id = 67, pack = skynet.pack, unpack = skynet.unpack }
  skynet.dispatch("fed", function(...) got = { ... } end)
  local msg, sz = skynet.pack("x", 2)
  skynet.dispatch_message(67, msg, sz, 0, 99)
  expect(got).to_equal({ 0, 99, "x", 2 })
end)

case("dispatch_message", "runs what the message has forked", function()
  local order = {}
  skynet.register_protocol { name = "forks", id = 68, unpack = function() end }
  skynet.dispatch("forks", function() skynet.fork(function() order[#order + 1] = "forked" end) order[#order + 1] = "handled" end)
  skynet.dispatch_message(68, "", 0, 0, 99)
  eventually(function() return #order == 2 end)
  expect(order).to_equal({ "handled", "forked" })
end)

case("dispatch_unknown_request", "has a function get what nothing handles", function()
  local got
  skynet.dispatch_unknown_request(function(session, source, msg, sz, name) got = { session, source, skynet.tostring(msg, sz), name } end)
  skynet.rawsend(skynet.self(), 99, "what?")
  eventually(function() return got end)
  expect(got).to_equal({ 0, skynet.self(), "what?", "type(99)" })
  expect(function() skynet.rawcall(echo(), 99, "what?") end).to_fail('no protocol of type "type%(99%)"')
end)

case("dispatch_unknown_request", "gives the function before, which is an error at first", function()
  local a = skynet.newservice("service/unknown")
  expect(skynet.call(a, "lua")).to_equal({ true, true })
  expect(function() skynet.dispatch_unknown_request(1) end).to_fail("a function is expected as argument 1")
end)

case("dispatch_unknown_response", "has a function get answers for which nobody waits", function()
  local got
  local was = skynet.dispatch_unknown_response(function(session, source, msg, sz) got = { session, source, skynet.unpack(msg, sz) } end)
  expect(type(was)).to_be("function")
  skynet.redirect(skynet.self(), 88, "response", 4321, skynet.pack("late"))
  eventually(function() return got end)
  expect(got).to_equal({ 4321, 88, "late" })
end)

case("PTYPE_TEXT", "is 0", function() expect(skynet.PTYPE_TEXT).to_be(0) end)
case("PTYPE_RESPONSE", "is 1", function() expect(skynet.PTYPE_RESPONSE).to_be(1) end)
case("PTYPE_MULTICAST", "is 2", function() expect(skynet.PTYPE_MULTICAST).to_be(2) end)
case("PTYPE_CLIENT", "is 3", function() expect(skynet.PTYPE_CLIENT).to_be(3) end)
case("PTYPE_SYSTEM", "is 4", function() expect(skynet.PTYPE_SYSTEM).to_be(4) end)
case("PTYPE_HARBOR", "is 5", function() expect(skynet.PTYPE_HARBOR).to_be(5) end)
case("PTYPE_SOCKET", "is 6", function() expect(skynet.PTYPE_SOCKET).to_be(6) end)
case("PTYPE_ERROR", "is 7", function() expect(skynet.PTYPE_ERROR).to_be(7) end)
case("PTYPE_QUEUE", "is 8", function() expect(skynet.PTYPE_QUEUE).to_be(8) end)
case("PTYPE_DEBUG", "is 9", function() expect(skynet.PTYPE_DEBUG).to_be(9) end)
case("PTYPE_LUA", "is 10", function() expect(skynet.PTYPE_LUA).to_be(10) end)
case("PTYPE_SNAX", "is 11", function() expect(skynet.PTYPE_SNAX).to_be(11) end)
case("PTYPE_TRACE", "is 12", function() expect(skynet.PTYPE_TRACE).to_be(12) end)
