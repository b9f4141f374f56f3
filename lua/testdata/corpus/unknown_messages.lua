-- Messages that nobody has a handler for, and functions that take those.
-- expect: message refused
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "strict" then
  skynet.start(function()
    tools.serve { ping = function() return "pong" end }
  end)
  return
elseif mode == "lenient" then
  skynet.start(function()
    local unknown = {}
    skynet.dispatch_unknown_request(function(session, source, msg, sz, prototype)
      unknown[#unknown + 1] = { session = session, source = source, kind = tostring(prototype) }
    end)
    skynet.dispatch_unknown_response(function(session, source)
      unknown[#unknown + 1] = { session = session, source = source, kind = "response" }
    end)
    tools.serve { unknown = function() return unknown end }
  end)
  return
end

skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = function(s) return s end, unpack = skynet.tostring }
skynet.register_protocol { name = "odd", id = 77, pack = skynet.pack, unpack = skynet.unpack }

skynet.start(function()
  local strict, lenient = skynet.newservice(SERVICE_NAME, "strict"), skynet.newservice(SERVICE_NAME, "lenient")
  tools.fails("text", skynet.call, strict, "text", "hello")
  tools.fails("77", skynet.call, strict, "odd", "hello")
  skynet.send(strict, "odd", "hello")
  assert(skynet.call(strict, "lua", "ping") == "pong")

  skynet.send(lenient, "odd", "hello")
  skynet.redirect(lenient, 4711, "response", 99, skynet.pack("late"))
  local unknown = tools.eventually(function()
    local list = skynet.call(lenient, "lua", "unknown")
    return #list == 2 and list
  end)
  assert(unknown[1].session == 0 and unknown[1].source == skynet.self())
  assert(unknown[2].session == 99 and unknown[2].source == 4711 and unknown[2].kind == "response")
  print "ok"
end)
