-- Gives numbers; it takes a while to load where it was.
local skynet = require "skynet"
local tools = require "lib.tools"

local last = ...

skynet.start(function()
  skynet.sleep(25)
  tools.serve {
    next = function()
      last = last + 1
      return last
    end,
    instances = function() return 1 end,
  }
end)
