local skynet = require "skynet"
require "skynet.manager"

local back = ...

skynet.register_protocol { name = "system", id = skynet.PTYPE_SYSTEM, unpack = function(...) return ... end }

skynet.forward_type({ [skynet.PTYPE_LUA] = skynet.PTYPE_SYSTEM }, function()
  skynet.dispatch("system", function(_, _, msg, sz) skynet.ret(skynet.rawcall(back, "lua", msg, sz)) end)
end)
