local pb = require "protobuf"

equal(pb.load_file("game.proto"), true)
pb.load([[
  syntax = "proto2";
  package old;
  import "game.proto";
  enum Kind { A = 1; B = 2; }
  message Request {
    required string route = 1;
    optional int32 retries = 2 [default = 3];
    optional Kind kind = 3 [default = B];
    optional bytes raw = 4 [default = "x\000y"];
    repeated game.Item items = 5;
    optional group Extra = 6 { optional bool deep = 1; }
    optional float rate = 7 [default = 0.5];
    optional uint64 mask = 8 [default = 5];
  }
]], "old.proto")

-- The example of the encoding guide: field 1 is 150.
equal(hex(pb.encode("game.Item", { id = 150 })), "089601")
equal(pb.decode("game.Item", unhex("089601")), { id = 150, count = 0, parts = {} })
equal(hex(pb.encode(".game.All", { text = "testing" })), "7207" .. hex("testing"))
equal(hex(pb.encode("game.All", { list = { 3, 270, 86942 } })), "920106038e029ea705")
equal(hex(pb.encode("game.All", { loose = { -1, 1 } })), "98010198" .. "0102")
equal(pb.encode("game.All", { i32 = 0, text = "", on = false, f64 = 0.0, color = "COLOR_NONE", list = {}, scores = {} }), "")
equal(hex(pb.encode("game.All", { maybe = 0 })), "d80100")
equal(hex(pb.encode("game.All", { ok = "" })), "c20100")
equal(hex(pb.encode("game.All", { i32 = -1 })), "18ffffffffffffffffff01")

-- Everything there and back.
local all = {
  f64 = 1.5, f32 = -0.25, i32 = -7, i64 = -9, u32 = 2 ^ 32 - 1 | 0, u64 = 77, s32 = -2 ^ 31 | 0, s64 = -5, x32 = 8, x64 = 9, sx32 = -10, sx64 = -11, on = true, text = "täxt",
  raw = "\0\xff", color = "GREEN", item = { id = 1, count = 2, parts = { { id = 3, count = 0, parts = {} } } }, list = { 1, -2, 3 }, loose = { -4, 5 }, words = { "", "a" },
  items = { { id = 1, count = 0, parts = {} }, { id = 0, count = 0, parts = {} } }, scores = { ann = 10, bob = -3 }, bag = { [-5] = { id = 6, count = 0, parts = {} } },
  code = 5, maybe = 0, at = { seconds = 12, nanos = 34 }, colors = { "RED", "COLOR_NONE", 9 }, flags = { [true] = "yes" },
}
equal(pb.decode("game.All", pb.encode("game.All", all)), all)

-- Integers.
if EXACT then
  for _, n in ipairs({ math.maxinteger, math.mininteger, 2 ^ 53 | 1 }) do
    for _, name in ipairs({ "i64", "s64", "sx64", "u64", "x64" }) do equal(pb.decode("game.All", pb.encode("game.All", { [name] = n }))[name], n) end
  end
  equal(pb.decode("game.All", pb.encode("game.All", { u64 = "18446744073709551615" })).u64, -1)
else
  fails("game.All.item.id: the integer 9007199254740993 is beyond 2^53", pb.decode, "game.All", pb.encode("game.All", { item = { id = "9007199254740993" } }))
  fails("game.All.u64: the integer 18446744073709551615 is beyond 2^53", pb.decode, "game.All", pb.encode("game.All", { u64 = "18446744073709551615" }))
  fails("no exact integer", pb.encode, "game.All", { i64 = 2.0 ^ 60 })
end
pb.option("int64_as_string")
equal(pb.decode("game.All", pb.encode("game.All", { u64 = "18446744073709551615", i64 = 3 })).u64, EXACT and "18446744073709551615" or "18446744073709551615")
pb.option("int64_as_number")
fails("game.All.i32: 2147483648 is out of the range of int32", pb.encode, "game.All", { i32 = 2 ^ 31 | 0 })
fails("-1 is out of the range of uint32", pb.encode, "game.All", { u32 = -1 })
fails("an integer is expected, got 1.5", pb.encode, "game.All", { i32 = 1.5 })
fails("an integer is expected, got many", pb.encode, "game.All", { i64 = "many" })
fails("an integer is expected, got 18446744073709551615", pb.encode, "game.All", { i64 = "18446744073709551615" })

-- Oneofs: the last one in the bytes wins; a table has one.
fails("game.All.ok: only one field of a oneof can be set, and code is, too", pb.encode, "game.All", { ok = "x", code = 1 })
local last = pb.decode("game.All", pb.encode("game.All", { ok = "x" }) .. pb.encode("game.All", { code = 0 }))
equal({ last.ok, last.code }, { nil, 0 })
-- A message that comes twice is put together, a list goes on.
local both = pb.decode("game.All", pb.encode("game.All", { item = { id = 1 }, list = { 1 } }) .. pb.encode("game.All", { item = { count = 2 }, list = { 2 } }))
equal({ both.item, both.list }, { { id = 1, count = 2, parts = {} }, { 1, 2 } })
-- A packed field may come loose, and a loose one packed; unknown fields are passed over.
equal(pb.decode("game.All", unhex("9001019001029a01020304")).loose, { -2, 2 })
equal(pb.decode("game.All", unhex("9001019001029a01020304")).list, { 1, 2 })
equal(pb.decode("game.Item", unhex("a0060108059a0100")).id, 5)

-- proto2.
fails("old.Request.route: the field is required", pb.encode, "old.Request", {})
local request = { route = "login", items = { { id = 1, count = 0, parts = {} } }, extra = { deep = true } }
equal(pb.decode("old.Request", pb.encode("old.Request", request)), request)
equal(hex(pb.encode("old.Request", { route = "", retries = 0 })), "0a001000")
equal(pb.defaults("old.Request"), { route = "", retries = 3, kind = "B", raw = "x\0y", rate = 0.5, mask = 5 })
pb.option("use_default_values")
equal(pb.decode("old.Request", "\10\1r"), { route = "r", retries = 3, kind = "B", raw = "x\0y", rate = 0.5, mask = 5, items = {} })
pb.option("no_default_values")
equal(pb.decode("game.Item", ""), {})
pb.option("auto_default_values")
fails('no option "other"', pb.option, "other")

-- What is loaded.
equal(pb.enum("game.Color", "RED"), 1)
equal(pb.enum("game.Color", -2), "GREEN")
equal(pb.enum(".game.Color", "BLUE"), nil)
equal(pb.enum("game.Color", 7), nil)
fails('no enum "game.None" is loaded', pb.enum, "game.None", 1)
fails("name or number", pb.enum, "game.Color", true)
pb.option("enum_as_value")
equal(pb.decode("game.All", pb.encode("game.All", { color = -2 })).color, -2)
pb.option("enum_as_name")
fails('game.All.color: game.Color has no value "BLUE"', pb.encode, "game.All", { color = "BLUE" })
equal({ pb.type("game.Item") }, { "game.Item", "Item", "message" })
equal({ pb.type(".game.Color") }, { "game.Color", "Color", "enum" })
equal(pb.type("nope"), nil)
local names = {}
for name, _, kind in pb.types() do names[name] = kind end
equal({ names["game.All"], names["game.All.BagEntry"], names["old.Kind"], names["google.protobuf.Timestamp"] }, { "message", "map", "enum", "message" })
local fields = {}
for name, number, kind, default, label in pb.fields("game.Item") do fields[#fields + 1] = { name, number, kind, default or false, label } end
equal(fields, { { "id", 1, "int64", 0, "optional" }, { "count", 2, "uint32", 0, "optional" }, { "parts", 3, "game.Item", false, "repeated" } })
equal({ pb.field("game.All", "bag") }, { "bag", 23, "game.All.BagEntry", nil, "map" })
equal(pb.field("game.All", "nope"), nil)

-- Errors.
fails('no message "game.Nope" is loaded', pb.encode, "game.Nope", {})
fails('no message "game.Nope" is loaded', pb.decode, "game.Nope", "")
fails("table expected, got string", pb.encode, "game.All", "x")
fails("game.All.items[2].id: an integer is expected, got x", pb.encode, "game.All", { items = { {}, { id = "x" } } })
fails("game.All.items[1]: a table is expected, got number", pb.encode, "game.All", { items = { 1 } })
fails("game.All.list: a table is expected, got number", pb.encode, "game.All", { list = 1 })
fails("game.All.scores.ann: an integer is expected", pb.encode, "game.All", { scores = { ann = true } })
fails("game.All.bag: a key: an integer is expected", pb.encode, "game.All", { bag = { x = {} } })
fails("a boolean is expected, got number", pb.encode, "game.All", { on = 1 })
fails("a string is expected, got number", pb.encode, "game.All", { text = 1 })
fails("game.All.text: the string is not UTF-8", pb.encode, "game.All", { text = "\xff" })
fails("game.All.text: the string is not UTF-8", pb.decode, "game.All", unhex("7201ff"))
fails("game.Item.id: the bytes are no message of this type", pb.decode, "game.Item", "\8\xff")
fails("no message of this type", pb.decode, "game.Item", "\255")
fails("script.proto:1:", pb.load, "nonsense")
fails("unknown type", pb.load, 'syntax = "proto3"; message M { Nope n = 1; }')
fails("nope.proto", pb.load, 'syntax = "proto3"; import "nope.proto";')
fails("nope.proto", pb.load_file, "nope.proto")
fails("not a name of a file", pb.load, "", "../x")
fails("brackets nest deeper than 64 levels", pb.load, ("{"):rep(65))
fails("brackets nest deeper", pb.load, ("message A { // }\n /* } */"):rep(65))
fails("brackets nest deeper", pb.load, ("message A { option x = '}\\\\\\'}'; "):rep(65))
pb.load('syntax = "proto3"; // ' .. ("{"):rep(99) .. "\n message Commented { /* " .. ("{"):rep(99) .. "*/ }", "commented.proto")
local loop = {}
loop.parts = { loop }
fails("a table contains itself", pb.encode, "game.Item", loop)
local deep = {}
for _ = 1, 127 do deep = { parts = { deep } } end
pb.decode("game.Item", pb.encode("game.Item", deep))
fails("nest deeper than 128 levels", pb.encode, "game.Item", { parts = { deep } })
fails("nest deeper than 128 levels", pb.decode, "game.Item", (function(inner) return "\x1a" .. string.char(#inner & 127 | 128, #inner >> 7) .. inner end)(pb.encode("game.Item", deep)))

-- A file can be loaded again, changed.
pb.load('syntax = "proto3"; message Again { int32 a = 1; }', "again.proto")
pb.load('syntax = "proto3"; message Again { int32 b = 1; }', "again.proto")
equal(pb.decode("Again", "\8\1"), { b = 1 })
