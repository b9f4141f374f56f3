-- What Skynet's main script starts for its console on the standard input. Here a node's console is `skua console`, from elsewhere; the service only says so.
local skynet = require "skynet"

skynet.start(function()
  skynet.error "console: the node's standard input is not read; see docs/admin.md for the commands, and for listen.console"
end)
