local skynet = require "skynet"

skynet.start(function()
  error("no floor")
end)
