-- The first service: it starts the others.
local skynet = require "skynet"

skynet.start(function()
  skynet.uniqueservice("counter")
  skynet.error("{{.Name}} is up")
end)
