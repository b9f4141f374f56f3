-- skynet.filter: a service behind a filter that counts, translates and drops messages before anybody else sees them.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode = ...

if mode == "shop" then
  local counted, dropped = 0, 0
  local rude = { fool = true }
  skynet.filter(function(kind, msg, sz, session, source)
    counted = counted + 1
    if kind == skynet.PTYPE_TEXT then
      -- An old client: "buy sword" is a command.
      local command, thing = string.match(skynet.tostring(msg, sz), "^(%w+) (%w+)$")
      msg, sz = skynet.pack(command, thing)
      return skynet.PTYPE_LUA, msg, sz, session, source
    end
    if kind == skynet.PTYPE_LUA and session == 0 then
      local _, word = skynet.unpack(msg, sz)
      if rude[word] then
        dropped = dropped + 1
        msg, sz = skynet.pack("say", "***")
      end
    end
    return kind, msg, sz, session, source
  end, function()
    local said = {}
    tools.serve {
      buy = function(thing) return "bought " .. thing end,
      say = function(word) said[#said + 1] = word end,
      figures = function() return counted, dropped, said end,
    }
  end)
  return
end

skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = function(s) return s end, unpack = skynet.unpack }

skynet.start(function()
  local shop = skynet.newservice(SERVICE_NAME, "shop")
  assert(skynet.call(shop, "lua", "buy", "bow") == "bought bow")
  assert(skynet.unpack(skynet.rawcall(shop, skynet.PTYPE_TEXT, "buy sword")) == "bought sword")
  for _, word in ipairs { "hi", "fool", "bye" } do skynet.send(shop, "lua", "say", word) end
  local counted, dropped, said = skynet.call(shop, "lua", "figures")
  assert(counted == 6 and dropped == 1 and tools.equal(said, { "hi", "***", "bye" }), counted)
  print "ok"
end)
