-- A protocol of the game's own, with pack and unpack that make text of it, beside the usual ones.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

-- name=value&name=value
local function encode(t)
  local parts = {}
  for k, v in pairs(t) do
    parts[#parts + 1] = k .. "=" .. string.gsub(tostring(v), "[%%&=]", function(c) return string.format("%%%02x", string.byte(c)) end)
  end
  table.sort(parts)
  return table.concat(parts, "&")
end

local function decode(msg, sz)
  local t = {}
  for k, v in string.gmatch(skynet.tostring(msg, sz), "([^&=]+)=([^&]*)") do
    t[k] = string.gsub(v, "%%(%x%x)", function(hex) return string.char(tonumber(hex, 16)) end)
  end
  return t
end

skynet.register_protocol { name = "form", id = 40, pack = encode, unpack = decode }
skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = function(...) return table.concat({ ... }, " ") end, unpack = skynet.tostring }

if mode == "server" then
  skynet.start(function()
    local posted = {}
    skynet.dispatch("form", function(session, _, form)
      if session == 0 then
        posted[#posted + 1] = form.name
      else
        skynet.ret(encode { greeting = "hello " .. form.name, age = form.age + 1 })
      end
    end)
    skynet.dispatch("text", function(session, source, text)
      local a, b = string.match(text, "^sum (%-?%d+) (%-?%d+)$")
      skynet.ret(a and tostring(a + b) or "what is " .. text .. "?")
    end)
    tools.serve { posted = function() return posted end }
  end)
  return
end

skynet.start(function()
  local server = skynet.newservice(SERVICE_NAME, "server")
  local answer = skynet.call(server, "form", { name = "Ann & Bob = 100%", age = 41 })
  assert(answer.greeting == "hello Ann & Bob = 100%" and tonumber(answer.age) == 42)
  assert(tonumber(skynet.call(server, "text", "sum", 40, "2")) == 42)
  assert(skynet.call(server, "text", "love") == "what is love?")
  for i = 1, 3 do skynet.send(server, "form", { name = "n" .. i }) end
  assert(tools.equal(skynet.call(server, "lua", "posted"), { "n1", "n2", "n3" }))

  -- The raw ways in and out.
  assert(skynet.tostring(skynet.rawcall(server, "form", "name=raw&age=1")) == "age=2&greeting=hello raw")
  skynet.rawsend(server, "form", "name=sent")
  assert(skynet.call(server, "lua", "posted")[4] == "sent")

  tools.fails("", skynet.register_protocol, { name = "form", id = 41 })
  tools.fails("", skynet.register_protocol, { name = "other", id = 40 })
  tools.fails("", skynet.call, server, "unregistered", 1)
  print "ok"
end)
