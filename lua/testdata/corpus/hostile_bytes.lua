-- skynet.unpack of bytes from strangers: cut, turned, made up. It gives values or an error, and the service lives on.
-- expect: handler failed
local skynet = require "skynet"
local tools = require "lib.tools"

local seed = 12345
local function random(n)
  seed = (seed * 16807) % 2147483647
  return seed % n
end

local function bytes(n)
  local t = {}
  for i = 1, n do t[i] = string.char(random(256)) end
  return table.concat(t)
end

skynet.start(function()
  local good = skynet.packstring("hello", 42, -1, 1.5, true, nil, { 1, 2, { x = "y", [true] = false } }, string.rep("long", 100))
  local n = select("#", skynet.unpack(good))
  assert(n == 8)

  local failed, fine = 0, 0
  local function try(text)
    local ok, err = pcall(skynet.unpack, text)
    if ok then
      fine = fine + 1
    else
      failed = failed + 1
      assert(type(err) == "string" or type(err) == "table")
    end
  end

  for i = 0, #good - 1 do try(string.sub(good, 1, i)) end
  assert(failed > #good / 2, "most of what is cut is refused")
  for i = 1, #good do
    for _, c in ipairs { 0, 127, 128, 255, random(256) } do try(string.sub(good, 1, i - 1) .. string.char(c) .. string.sub(good, i + 1)) end
  end
  for i = 1, 600 do try(bytes(i % 64)) end
  -- A length that promises far more than is there, and tables within tables within tables.
  for _, head in ipairs { "\255\255\255\255", "\4\255\255\255\127", "\6\255\255\255\127", "\21\255\255", string.rep("\14", 200), string.rep("\6", 5000) } do
    try(head)
    try(head .. good)
  end
  assert(failed > 0 and fine > 0)

  -- By a message: what the sender has made up fails in the handler, not in the service.
  skynet.register_protocol { name = "wire", id = 60, pack = function(s) return s end, unpack = skynet.unpack }
  skynet.dispatch("wire", function(_, _, a) skynet.ret(skynet.packstring("got", a)) end)
  local what, a = skynet.unpack(skynet.rawcall(skynet.self(), "wire", skynet.packstring(7)))
  assert(what == "got" and a == 7)
  local refused = 0
  for i = 1, 50 do
    local ok = pcall(skynet.rawcall, skynet.self(), "wire", "\255\255\255" .. bytes(i))
    if not ok then refused = refused + 1 end
  end
  assert(refused > 0)
  assert(skynet.unpack(skynet.rawcall(skynet.self(), "wire", skynet.packstring(8))) == "got")
  tools.fails("", skynet.unpack, 42)
  tools.fails("", skynet.unpack, {})
  print "ok"
end)
