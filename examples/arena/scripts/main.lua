-- The first service: it makes the world before the first player comes.
local skynet = require "skynet"
require "skynet.manager"

local M = {}

function M.start(self)
  skynet.name("map", skynet.newservice("map", "world"))
end

return M
