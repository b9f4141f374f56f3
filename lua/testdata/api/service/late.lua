local skynet = require "skynet"
skynet.init(function() order[#order + 1] = "late init" end)
order[#order + 1] = "late module"
