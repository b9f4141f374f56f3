local cjson = require "cjson"

-- Values and back.
for _, text in ipairs({ "true", "false", "[]", "{}", "1", "-7", "0.5", "1.5e+300", '"a\\"b\\\\c\\n\\u0001"', "[1,2,[3,[]]]", '{"a":[{"b":"c"}]}', '""' }) do
  local v = cjson.decode(text)
  if text == "[]" then text = "{}" end
  equal(cjson.encode(v), (text:gsub("%[%]", "{}")), text)
end
equal(cjson.decode(' { "a" : 1 , "a" : 2 } ').a, 2)
equal(cjson.decode('"\\ud83d\\ude00\\/"'), "\u{1F600}/")
equal(cjson.decode('{"":1}')[""], 1)

-- null is one value.
local t = cjson.decode('{"a":null,"b":[null,1]}')
assert(t.a == cjson.null and t.b[1] == cjson.null and t.a ~= nil)
equal(tostring(cjson.null), "cjson.null")
equal(cjson.encode({ cjson.null, 1 }), "[null,1]")
equal(cjson.encode(nil), "null")
assert(require "cjson.safe".null == cjson.null and require "json" == cjson)

-- Numbers.
equal(cjson.encode(3.0), "3")
equal(cjson.encode(0.1), "0.1")
equal(cjson.encode(1e15), "1000000000000000")
equal(cjson.encode(1e300), "1e+300")
equal(cjson.decode("-0.25"), -0.25)
equal(cjson.decode("1e2"), 100.0)
if EXACT then
  for _, n in ipairs({ math.maxinteger, math.mininteger, 2 ^ 53 | 1, -(2 ^ 53 | 1) }) do
    equal(cjson.decode(cjson.encode({ id = n })).id, n)
    equal(math.type(cjson.decode(cjson.encode(n))), "integer")
  end
  equal(math.type(cjson.decode("1.0")), "float")
  equal(math.type(cjson.decode("18446744073709551615")), "float")
  equal(cjson.encode(cjson.decode("9007199254740993.0")), "9.007199254740992e+15")
else
  equal(cjson.decode("9007199254740992"), 2 ^ 53)
  fails("character 19 at /players/0/id: the integer 9007199254740993 is beyond 2^53", cjson.decode, '{"players":[{"id":9007199254740993}]}')
  local j = cjson.new()
  j.big_integers_as_strings(true)
  equal(j.decode('{"id":-9007199254740993}').id, "-9007199254740993")
end
local short = cjson.new()
equal(short.encode_number_precision(3), 3)
equal(short.encode(0.123456), "0.123")
equal(cjson.encode(0.123456), "0.123456")
fails("NaN", cjson.encode, { a = 0 / 0 })
fails("value.a[2]: +Inf is no number", cjson.encode, { a = { 1, 1 / 0 } })
equal(short.encode_invalid_numbers("null"), "null")
equal(short.encode({ 1 / 0 }), "[null]")
fails("no JSON", short.encode_invalid_numbers, true)
fails("out of range", cjson.decode, "1e999")

-- Arrays with holes.
equal(cjson.encode({ [1] = 1, [3] = 3 }), "[1,null,3]")
fails("value.x: excessively sparse array", cjson.encode, { x = { [1000] = 1 } })
equal({ short.encode_sparse_array(true, 2, 3) }, { true, 2, 3 })
equal(short.encode({ [5] = 1 }), '{"5":1}')
equal(short.encode({ [2] = 1 }), "[null,1]")
equal(cjson.encode({ [-1] = 1 }), '{"-1":1}')
equal(cjson.encode({ [0] = 1 }), '{"0":1}')
equal(cjson.encode({ [1.5] = 1 }), '{"1.5":1}')
fails("value.a: a key is a boolean", cjson.encode, { a = { [true] = 1 } })

-- Empty tables.
equal(cjson.encode({ cjson.empty_array, {} }), "[[],{}]")
equal(cjson.encode(setmetatable({}, cjson.empty_array_mt)), "[]")
equal(cjson.encode(setmetatable({ a = 1 }, cjson.empty_array_mt)), '{"a":1}')
equal(cjson.encode(setmetatable({}, cjson.array_mt)), "[]")
equal(cjson.encode(setmetatable({ 1, 2, x = 3 }, cjson.array_mt)), "[1,2]")
equal(short.encode_empty_table_as_object(false), false)
equal(short.encode_empty_table_as_object(), false)
equal(short.encode({}), "[]")
equal(short.encode_empty_table_as_object("on"), true)
equal(short.encode({}), "{}")
equal(short.decode_array_with_array_mt(true), true)
equal(short.encode(short.decode('{"a":[],"b":{}}').a), "[]")
equal(short.encode(short.decode('{"a":[],"b":{}}').b), "{}")

-- Text.
equal(cjson.encode("a/b"), '"a\\/b"')
equal(short.encode_escape_forward_slash(false), false)
equal(short.encode("a/b"), '"a/b"')
fails("value.name: the string is not UTF-8", cjson.encode, { name = "\xff" })
fails("the key is not UTF-8", cjson.encode, { ["\xff"] = 1 })
equal(cjson.encode_keep_buffer(), true)
equal(cjson.decode_invalid_numbers(false), false)

-- Errors name the place.
fails("character 13 at /a/1: ", cjson.decode, '{"a":[true,nope]}')
fails("character 6 at /a: the text ends here", cjson.decode, '{"a":')
fails("character 1: the text is empty", cjson.decode, " ")
fails("there is more behind the value", cjson.decode, "1 2")
fails("UTF-8", cjson.decode, '"\xff"')
fails("value.list[2].f: a function has no form in JSON", cjson.encode, { list = { 1, { f = print } } })
fails('value["odd key"]: a thread', cjson.encode, { ["odd key"] = coroutine.create(print) })
fails("one argument", cjson.encode)
fails("one argument", cjson.decode, "1", "2")
fails("string expected, got table", cjson.decode, {})

-- Depth.
local loop = {}
loop.me = { loop }
fails("a table contains itself", cjson.encode, loop)
local deep = {}
for _ = 1, 999 do deep = { deep } end
equal(#cjson.encode(deep), 2 * 1000)
fails("nest deeper than 1000 levels", cjson.encode, { deep })
cjson.decode(("["):rep(1000) .. ("]"):rep(1000))
fails("nest deeper than 1000 levels", cjson.decode, ("["):rep(1001) .. ("]"):rep(1001))
equal(short.encode_max_depth(2), 2)
fails("value[1][1]: tables nest deeper than 2 levels", short.encode, { { {} } })
equal(short.decode_max_depth(1), 1)
fails("deeper than 1 ", short.decode, '{"a":[]}')
fails("1 to 10000", short.decode_max_depth, 0)

-- A table that is there 2^40 times ends by its length.
local wide = { ("x"):rep(1000) }
for _ = 1, 40 do wide = { wide, wide } end
fails("longer than 64 MiB", cjson.encode, wide)

-- cjson.safe returns its errors.
local safe = require "cjson.safe"
local v, err = safe.decode("nope")
assert(v == nil and err:find("character 2: ", 1, true), err)
v, err = safe.encode({ f = print })
assert(v == nil and err == "cjson.encode: value.f: a function has no form in JSON", err)
equal(safe.decode("[1]"), { 1 })
