local skynet = require "skynet"

skynet.start(function()
  local function mine() end
  local default = skynet.dispatch_unknown_request(mine)
  local failed = not pcall(default, 0, 1, "x", 1, "text")
  local back = skynet.dispatch_unknown_request(function() end)
  skynet.dispatch("lua", function() skynet.retpack { failed, back == mine } end)
end)
