local skynet = require "skynet"

order = { "text" }
skynet.start(function()
  order[#order + 1] = "start"
  local began = order
  skynet.dispatch("lua", function(_, _, late)
    if not late then return skynet.retpack(began) end
    order = {}
    require "service.late"
    order[#order + 1] = "behind require"
    skynet.init(function() order[#order + 1] = "at once" end)
    skynet.retpack(order)
  end)
end)
skynet.init(function() order[#order + 1] = "init" end)
require "service.early"
order[#order + 1] = "text ends"
