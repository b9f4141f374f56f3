-- What Skynet's main script starts for its debug console, with a port, or an address and a port. Here the configuration opens it, since it needs a token; the
-- service only says so.
local skynet = require "skynet"

local address, port = ...
if not port then address, port = "127.0.0.1", address end

skynet.start(function()
  skynet.error(string.format(
    'debug_console: it is the configuration that opens it: listen.console = "%s:%s" and admin.token, see docs/admin.md', tostring(address), tostring(port or 8000)))
end)
