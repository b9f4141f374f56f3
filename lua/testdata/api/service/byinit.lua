local skynet = require "skynet"

local order, fail = {}, ...

skynet.init(function() order[#order + 1] = "init" end)
skynet.timeout(0, function()
  skynet.init_service(function()
    if fail then error("no luck") end
    order[#order + 1] = "start"
    skynet.dispatch("lua", function() skynet.retpack(order) end)
  end)
end)
