local multicast = require "skynet.multicast"
local M = {}
function M.go()
  multicast.new():publish({ f = print })
end
return M
