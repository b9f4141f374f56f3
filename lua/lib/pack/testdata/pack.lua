local skynet = require "pack"

local function bytes(want, ...)
  equal(hex(skynet.packstring(...)), want)
  if EXACT then -- the host's messages take a number of an engine without integers for a float
    equal(skynet.tostring(skynet.pack(...)), unhex(want))
    local _, size = skynet.pack(...)
    equal(size, #want // 2)
  end
  equal({ skynet.unpack(unhex(want)) }, { ... }, want)
  equal({ skynet.unpack(skynet.pack(...)) }, { ... })
end

-- The layout of Skynet.
bytes("")
bytes("00", nil)
bytes("0901", true, false)
bytes("02", 0)
bytes("0a01", 1)
bytes("0aff", 255)
bytes("120001", 256)
bytes("12ffff", 65535)
bytes("2200000100", 65536)
bytes("22ffffffff", -1)
bytes("22ffffff7f", 2 ^ 31 - 1 | 0)
bytes("320000008000000000", 2 ^ 31 | 0)
bytes("42000000000000f83f", 1.5)
bytes("04", "")
bytes("1c616263", "abc")
bytes("152000" .. ("61"):rep(32), ("a"):rep(32))
bytes("15ffff" .. ("00"):rep(65535), ("\0"):rep(65535))
bytes("2500000100" .. ("61"):rep(65536), ("a"):rep(65536))
bytes("0600", {})
bytes("160a010a0200", { 1, 2 })
bytes("060c610a0100", { a = 1 })
bytes("0e0e0a010000" .. "09", { { 1 } }, true)
local many = {}
for i = 1, 31 do many[i] = false end
bytes("fe0a1f" .. ("01"):rep(31) .. "00", many)
if EXACT then
  bytes("32ffffffffffffff7f", math.maxinteger)
  bytes("320000000000000080", math.mininteger)
  bytes("420000000000000840", 3.0)
  equal(math.type(skynet.unpack(skynet.packstring(3.0))), "float")
else
  fails("the integer 9223372036854775807 is beyond 2^53", skynet.unpack, unhex("32ffffffffffffff7f"))
  bytes("0a03", 3.0)
end

-- What comes back.
local t = { 1, "two", { x = { y = { 1.5, true } } }, [-5] = "minus", [2.5] = "half", [true] = "yes", name = "somebody" }
equal(skynet.unpack(skynet.packstring(t)), t)
equal(select("#", skynet.unpack(skynet.packstring(nil, 1, nil))), 3)
equal(select("#", skynet.unpack(nil)), 0)
equal(skynet.unpack(skynet.packstring(7) .. "rest", 2), 7)
equal(skynet.tostring("abc", 2), "ab")
equal(skynet.trash(skynet.pack(1)), nil)

-- What can't be packed.
fails("argument 2.a[1]: a function can't be packed", skynet.packstring, 1, { a = { print } })
fails("argument 1: a userdata can't be packed", skynet.packstring, (skynet.pack(1)))
fails("a key is a table", skynet.packstring, { [{}] = 1 })
fails("a key: a function can't be packed", skynet.packstring, { [print] = 1 })
local loop = {}
loop.me = loop
fails("a table contains itself", skynet.packstring, loop)
fails("contain itself?", skynet.pack, loop)
local deep = {}
for _ = 1, 63 do deep = { deep } end
equal(skynet.unpack(skynet.packstring(deep)), deep)
fails("nest deeper than 64 levels", skynet.packstring, { deep })
local wide = { ("x"):rep(1000) }
for _ = 1, 40 do wide = { wide, wide } end
fails("longer than 64 MiB", skynet.packstring, wide)

-- What can't be unpacked.
fails("the message has 1 bytes, not 2", skynet.unpack, "\0", 2)
fails("what pack or packstring returned expected, got table", skynet.unpack, {})
fails("no packed values: value 2, byte 3: there is a pointer", skynet.unpack, unhex("0903" .. ("00"):rep(8)))
fails("the bytes end within a value", skynet.unpack, unhex("25ffffffff"))
fails("the length of a table is wrong", skynet.unpack, unhex("fe32ffffff000000000000"))
fails("the bytes end within a value", skynet.unpack, unhex("fe0a03fe0a0300"))
fails("the length of a table is wrong", skynet.unpack, unhex("fe42000000000000f83f"))
fails("there is no type 7", skynet.unpack, "\7")
fails("a key is a table", skynet.unpack, unhex("0606"))
fails("a key is not a number", skynet.unpack, unhex("0642000000000000f87f0000"))
fails("nest deeper", skynet.unpack, ("\x0e"):rep(65) .. ("\0"):rep(66))
fails("more than 10000 values", skynet.unpack, ("\0"):rep(10001))
equal(select("#", skynet.unpack(("\0"):rep(10000))), 10000)
