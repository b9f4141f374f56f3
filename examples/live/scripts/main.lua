-- The first service: it starts the rooms before the first member comes.
local skynet = require "skynet"

local M = {}

function M.start(self)
  skynet.uniqueservice("live")
end

return M
