local bson = require "bson"

-- The example of the specification.
local doc = bson.encode({ hello = "world" })
equal(hex(tostring(doc)), "16000000" .. "02" .. hex("hello\0") .. "06000000" .. hex("world\0") .. "00")
equal(doc:decode(), { hello = "world" })
equal(bson.decode(tostring(doc)), { hello = "world" })
equal(bson.decode(nil), nil)
assert(doc == bson.encode({ hello = "world" }) and doc ~= bson.encode({}))

local sub = bson.encode_order("hello", 1, "world", 2, "list", { 1, 2.5, { x = true } })
equal(sub:decode(), { hello = 1, world = 2, list = { 1, 2.5, { x = true } } })
equal(hex(tostring(bson.encode_order("b", 1, "a", 2))), "13000000" .. "106200" .. "01000000" .. "106100" .. "02000000" .. "00")
fails("got 3 arguments", bson.encode_order, "a", 1, "b")
fails("string expected, got number", bson.encode_order, 1, 1)
fails("document.a: a function has no form", bson.encode_order, "a", print)

-- All types come back as they were.
local id = bson.objectid()
local all = {
  a = 1, b = true, c = bson.null, d = { 1, 2, 3, 4 }, e = bson.binary("hello"), f = bson.regex("*", "i"), g = bson.regex("hello"),
  h = bson.date(1700000000.25), i = bson.timestamp(1700000000, 7), j = id, k = { a = false, b = true }, l = {}, m = bson.minkey, n = bson.maxkey,
  o = bson.int64(5), p = 2 ^ 32 - 1, q = bson.decimal("123.4500"), r = "", s = -1.5, t = bson.binary("\0\1", 4),
}
local back = bson.decode(bson.encode(all))
all.o = 5
equal(back, all)
equal(bson.decode(bson.encode({ x = sub })).x.world, 2)

-- What they are.
local function typeof(want, v) equal({ bson.type(v) }, want) end
typeof({ "number", 1 }, 1)
typeof({ "boolean", false }, false)
typeof({ "string", "text" }, "text")
typeof({ "string", "\0" }, "\0")
typeof({ "nil" }, nil)
typeof({ "nil" }, back.c)
typeof({ "binary", "hello", 0 }, back.e)
typeof({ "binary", "\0\1", 4 }, back.t)
typeof({ "regex", "*", "i" }, back.f)
typeof({ "regex", "hello", "" }, back.g)
typeof({ "date", 1700000000.25 }, back.h)
typeof({ "date", 1700000000 }, bson.date(1700000000))
typeof({ "date", -1 }, bson.date(-1))
typeof({ "timestamp", 1700000000, 7 }, back.i)
typeof({ "minkey" }, back.m)
typeof({ "maxkey" }, back.n)
typeof({ "int64", 5 }, bson.int64(5))
typeof({ "decimal", "123.4500" }, back.q)
equal((bson.type({})), "table")
local kind, digits = bson.type(id)
equal({ kind, #digits }, { "objectid", 24 })
equal(bson.objectid(digits), id)
assert(bson.objectid() ~= bson.objectid())
fails("24 hexadecimal digits", bson.objectid, "xyz")
fails("number expected", bson.date, "now")
fails("no date", bson.date, 1e300)
fails("0 to 255", bson.binary, "", 256)
fails("zero byte", bson.regex, "a\0b")
fails("bad argument #1 to 'decimal'", bson.decimal, "many")
fails("integer expected", bson.int64, 1.5)
fails("a value of BSON expected, got function", bson.type, print)
fails("seconds and increment", bson.timestamp, -1)

-- Integers.
equal(hex(tostring(bson.encode({ n = 2 ^ 31 - 1 | 0 }))), "0c000000" .. "106e00" .. "ffffff7f" .. "00")
equal(hex(tostring(bson.encode({ n = 2 ^ 31 | 0 }))), "10000000" .. "126e00" .. "0000008000000000" .. "00")
equal(hex(tostring(bson.encode({ n = bson.int64(1) }))), "10000000" .. "126e00" .. "0100000000000000" .. "00")
local big = "10000000" .. "126e00" .. "0100000000002000" .. "00" -- 2^53 + 1
equal(tostring(bson.encode({ n = bson.int64("9007199254740993") })), unhex(big))
if EXACT then
  equal(bson.decode(unhex(big)).n, 9007199254740993)
  for _, n in ipairs({ math.maxinteger, math.mininteger }) do equal(bson.decode(bson.encode({ n = n })).n, n) end
  equal(math.type(bson.decode(bson.encode({ n = 3.0 })).n), "float")
else
  fails("document.n: the integer 9007199254740993 is beyond 2^53", bson.decode, unhex(big))
  equal(bson.big_integers_as_strings(true), true)
  equal(bson.decode(unhex(big)).n, "9007199254740993")
  equal(bson.big_integers_as_strings(false), false)
end

-- Keys.
equal(bson.decode(bson.encode({ [1001] = "a", [1002] = "b" })), { ["1001"] = "a", ["1002"] = "b" })
equal(bson.decode(bson.encode({ list = { [1] = 1, [3] = 3 } })).list, { ["1"] = 1, ["3"] = 3 })
fails("a key is a boolean", bson.encode, { [true] = 1 })
fails("zero byte", bson.encode, { ["a\0b"] = 1 })

-- Errors.
fails("document.a[2].f: a function has no form in BSON", bson.encode, { a = { 1, { f = print } } })
fails("document.name: the string is not UTF-8", bson.encode, { name = "\xff" })
fails("document.x: a string that begins with a zero byte", bson.encode, { x = "\0\7short" })
fails("begins with a zero byte", bson.encode, { x = "\0\2text" })
fails("begins with a zero byte", bson.encode, { x = "\0\5" })
fails("broken", bson.type, "\0\x63")
fails("table expected, got string", bson.encode, "x")
fails("a document or a string expected", bson.decode, 1)
local loop = {}
loop.me = { loop }
fails("a table contains itself", bson.encode, loop)
local deep = {}
for _ = 1, 127 do deep = { d = deep } end
equal(bson.decode(bson.encode(deep)), deep)
fails("nest deeper than 128 levels", bson.encode, { d = deep })
local raw = unhex("0500000000")
for _ = 1, 128 do raw = string.pack("<i4", #raw + 8) .. "\3d\0" .. raw .. "\0" end
fails("nest deeper than 128 levels", bson.decode, raw)
for _, bad in ipairs({ "", "\0", "\5\0\0\0", "\5\0\0\0\0\0", "\5\0\0\0\1", "\4\0\0\0", unhex("0b000000106e00ffffff00"), unhex("09000000026e000000"), unhex("ffffff7f00") }) do
  fails("no document of BSON", bson.decode, bad)
end
fails("document.n: the string begins with a zero byte", bson.decode, unhex("10000000026e000400000000016100" .. "00"))
local wide = { s = ("x"):rep(1000) }
for _ = 1, 40 do wide = { wide, wide } end
fails("longer than 64 MiB", bson.encode, wide)
