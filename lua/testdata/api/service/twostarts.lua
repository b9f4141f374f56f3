local skynet = require "skynet"
skynet.start(function() end)
skynet.start(function() end)
