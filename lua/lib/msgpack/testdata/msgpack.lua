local msgpack = require "msgpack"

local function bytes(want, ...)
  equal(hex(msgpack.encode(...)), want)
  equal({ msgpack.decode(unhex(want)) }, { ... }, want)
end

-- The specification's forms, the shortest for each value.
bytes("c0", nil)
bytes("c3c2", true, false)
bytes("007fcc80ccffcd0100", 0, 127, 128, 255, 256)
bytes("cdffffce00010000ceffffffff", 65535, 65536, 2 ^ 32 - 1 | 0)
bytes("ffe0d0dfd080d1ff7f", -1, -32, -33, -128, -129)
bytes("d18000d2ffff7fffd280000000", -32768, -32769, -2 ^ 31 | 0)
bytes("cb3ff8000000000000", 1.5)
bytes("a0a3616263", "", "abc")
bytes("d920" .. ("61"):rep(32), ("a"):rep(32))
bytes("da0100" .. ("61"):rep(256), ("a"):rep(256))
bytes("db00010000" .. ("61"):rep(65536), ("a"):rep(65536))
bytes("90", {})
bytes("93010203", { 1, 2, 3 })
bytes("81a161c3", { a = true })
bytes("8103c3", { [3] = true })
bytes("9181a16b92c2a178", { { k = { false, "x" } } })
bytes("dc0010" .. ("c2"):rep(16), { false, false, false, false, false, false, false, false, false, false, false, false, false, false, false, false })
equal(msgpack.pack(1, "a"), msgpack.encode(1, "a"))
equal(select("#", msgpack.decode("")), 0)
equal(msgpack.decode(unhex("ca3fc00000")), 1.5)
equal(msgpack.decode(unhex("80")), {})
equal(msgpack.decode(unhex("81c4016b01")).k, 1)
equal(msgpack.decode(unhex("d30000000000000001")), 1)

if EXACT then
  bytes("cf7fffffffffffffff", math.maxinteger)
  bytes("d38000000000000000", math.mininteger)
  bytes("cf0020000000000001", 2 ^ 53 | 1)
  bytes("cb4008000000000000", 3.0)
  equal(math.type(msgpack.decode(msgpack.encode(3.0))), "float")
else
  bytes("03", 3.0)
  fails("value 1.players[1].id: the integer 9007199254740993 is beyond 2^53", msgpack.decode, unhex("81a7706c61796572739181a26964cf0020000000000001"))
end
fails("value 1[1]: the integer 18446744073709551615 is beyond", msgpack.decode, unhex("91cfffffffffffffffff"))
msgpack.big_integers_as_strings(true)
equal(msgpack.decode(unhex("91cfffffffffffffffff")), { "18446744073709551615" })
msgpack.big_integers_as_strings(false)

-- Text, bytes and extensions.
equal(hex(msgpack.encode(msgpack.bin("\0\1"))), "c4020001")
equal(msgpack.decode(unhex("c4020001")), "\0\1")
equal(msgpack.decode_bin_as_object(true), true)
local b = msgpack.decode(unhex("c4020001"))
equal(b.data, "\0\1")
equal(tostring(b), "msgpack.bin (2 bytes)")
equal(hex(msgpack.encode(b)), "c4020001")
msgpack.decode_bin_as_object(false)
msgpack.set_string("binary")
equal(hex(msgpack.encode("a")), "c40161")
msgpack.set_string("string")
fails("no way", msgpack.set_string, "other")
for n, want in pairs({ [0] = "c70005", "d405", "d505", "c70305", "d605", [8] = "d705", [16] = "d805", [255] = "c8 00ff05", [256] = "c8010005", [65536] = "c90001000005" }) do
  local x = msgpack.ext(5, ("x"):rep(n))
  local got = msgpack.decode(msgpack.encode(x))
  if n ~= 255 then equal(hex(msgpack.encode(x)), want .. ("78"):rep(n)) end -- ext 8 and ext 16 both hold 255 bytes
  equal({ got.type, #got.data }, { 5, n })
end
local time = msgpack.decode(unhex("d6ff00000001"))
equal({ time.type, time.data, tostring(time) }, { -1, "\0\0\0\1", "msgpack.ext (type -1, 4 bytes)" })
equal(msgpack.decode(unhex("c70307010203")).type, 7)
fails("-128 to 127 expected, got 128", msgpack.ext, 128, "")
fails("string expected", msgpack.ext, 1)

-- Tables with holes.
equal(msgpack.decode(msgpack.encode({ 1, nil, 3 })), { [1] = 1, [3] = 3 })
equal(hex(msgpack.encode({ [2] = true })), "8102c3")
msgpack.set_array("with_hole")
equal(hex(msgpack.encode({ [2] = true })), "92c0c3")
fails("longer than 64 MiB", msgpack.encode, { [2 ^ 40 | 0] = 1 })
msgpack.set_array("always_as_map")
equal(hex(msgpack.encode({ true })), "8101c3")
msgpack.set_array("without_hole")

-- One after the other.
local text = msgpack.encode(1, "two", { 3 })
equal({ msgpack.unpack_one(text) }, { 1, 1 })
equal({ msgpack.unpack_one(text, 1) }, { 5, "two" })
equal({ msgpack.unpack_one(text, 5) }, { -1, { 3 } })
equal({ msgpack.unpack_limit(text, 2) }, { 5, 1, "two" })
equal({ msgpack.unpack_limit(text, 9, 1) }, { -1, "two", { 3 } })
fails("the text has 7 bytes, not 8", msgpack.unpack_one, text, 8)
fails("1 to 10000 expected", msgpack.unpack_limit, text, 0)

-- Errors.
fails("argument 2.a[1]: a function has no form", msgpack.encode, 1, { a = { print } })
fails("a key is a table", msgpack.encode, { [{}] = 1 })
local loop = {}
loop.me = { loop }
fails("a table contains itself", msgpack.encode, loop)
local deep = {}
for _ = 1, 127 do deep = { deep } end
equal(msgpack.decode(msgpack.encode(deep)), deep)
fails("nest deeper than 128 levels", msgpack.encode, { deep })
fails("nest deeper than 128 levels", msgpack.decode, ("\x91"):rep(129) .. "\x90")
fails("value 1: no value begins with the byte 0xc1 (byte 1)", msgpack.decode, "\xc1")
fails("value 2: the bytes end within a value (byte 2)", msgpack.decode, "\x01\xa5abc")
fails("the bytes end within a value", msgpack.decode, unhex("dd7fffffff01"))
fails("the bytes end within a value", msgpack.decode, unhex("df7fffffff01"))
fails("the bytes end within a value", msgpack.decode, "\x81\xa1")
fails("the bytes end within a value", msgpack.decode, "\xc9\0\0")
fails("a key is of the type array", msgpack.decode, "\x81\x90\x01")
fails("a key is of the type nil", msgpack.decode, "\x81\xc0\x01")
fails("a key is not a number", msgpack.decode, unhex("81cb7ff800000000000001"))
fails("more than 10000 values", msgpack.decode, ("\1"):rep(10001))
