local skynet = require "skynet"
local tools = require "lib.tools"

local dead = {}

skynet.register_protocol {
  name = "client", id = skynet.PTYPE_CLIENT, unpack = function() end,
  dispatch = function(_, address) dead[#dead + 1] = address end,
}

skynet.start(function()
  tools.serve { dead = function() return dead end }
end)
