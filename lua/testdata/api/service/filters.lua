local skynet = require "skynet"
require "skynet.manager"

skynet.filter(function(kind, msg, sz, session, source)
  if kind ~= skynet.PTYPE_LUA then return kind, msg, sz, session, source end
  local what, text = skynet.unpack(msg, sz)
  if what == "break" then error("broken filter") end
  if what == "drop" then return end
  msg, sz = skynet.pack(text:upper())
  return kind, msg, sz, session, source
end, function()
  skynet.dispatch("lua", function(_, _, text) skynet.retpack(text) end)
end)
