local skynet = require "skynet"

case("pack", "makes a message and its size, which unpack reads", function()
  local msg, sz = skynet.pack(1, "two", nil, { 3, x = { true } })
  expect(type(msg)).to_be("userdata")
  expect(sz).to_be(#skynet.packstring(1, "two", nil, { 3, x = { true } }))
  local a, b, c, d = skynet.unpack(msg, sz)
  expect(a).to_be(1)
  expect(b).to_be("two")
  expect(c).to_be_nil()
  expect(d).to_equal({ 3, x = { true } })
end)

case("pack", "copies: what is changed later does not change the message", function()
  local t = { 1 }
  local msg, sz = skynet.pack(t)
  t[1] = 2
  expect(skynet.unpack(msg, sz)).to_equal({ 1 })
end)

case("pack", "refuses a table that contains itself, and what can't be sent, and names the place", function()
  local t = {}
  t.t = t
  expect(function() skynet.pack(t) end).to_fail("does a table contain itself")
  expect(function() skynet.pack(1, { a = { print } }) end).to_fail("argument 2.a%[1%]: a function cannot be sent")
  expect(function() skynet.pack(coroutine.running()) end).to_fail("a thread cannot be sent")
end)

case("packstring", "makes bytes, as Skynet does", function()
  expect(skynet.packstring(true, 1, "a")).to_be("\9\10\1\12a")
  expect(skynet.packstring()).to_be("")
  local t = {}
  t.t = t
  expect(function() skynet.packstring(t) end).to_fail("contains itself")
  expect(function() skynet.packstring(print) end).to_fail("a function can't be packed")
end)

case("unpack", "reads messages and bytes", function()
  expect(select("#", skynet.unpack(skynet.packstring(nil, nil)))).to_be(2)
  local a, b = skynet.unpack(skynet.packstring({ 1, 2, k = "v" }, -1.5))
  expect(a).to_equal({ 1, 2, k = "v" })
  expect(b).to_be(-1.5)
  expect(select("#", skynet.unpack(nil))).to_be(0)
  expect(select("#", skynet.unpack(""))).to_be(0)
end)

case("unpack", "refuses bytes that are no packed values", function()
  expect(function() skynet.unpack("\255\255") end).to_fail("the bytes are no packed values")
  expect(function() skynet.unpack(skynet.packstring("some text"):sub(1, 5)) end).to_fail("the bytes are no packed values")
  expect(function() skynet.unpack(7) end).to_fail("what pack or packstring returned")
end)

case.exact("unpack", "keeps all 64 bits of an integer", function()
  local n = tonumber("9007199254740993")
  expect(skynet.unpack(skynet.packstring(n))).to_be(n)
  expect(skynet.unpack(skynet.pack(-n))).to_be(-n)
  expect(math.type(skynet.unpack(skynet.packstring(3.0)))).to_be("float")
end)

case("tostring", "gives the bytes of a message", function()
  expect(skynet.tostring(skynet.pack("x", 1))).to_be(skynet.packstring("x", 1))
  expect(skynet.tostring("bytes", 3)).to_be("byt")
  expect(skynet.tostring(nil, 0)).to_be("")
  expect(function() skynet.tostring(7, 1) end).to_fail("what pack returned")
end)

case("trash", "takes a message that is not sent", function()
  expect(select("#", skynet.trash(skynet.pack("x")))).to_be(0)
end)
