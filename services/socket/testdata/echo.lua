-- An echo server as in Skynet's examples: each connection in a coroutine of its own.
local skynet = require "skynet"
local socket = require "skynet.socket"

local function echo(id)
  socket.start(id)
  while true do
    local text = socket.read(id)
    if not text then
      socket.close(id)
      return
    end
    socket.write(id, text)
  end
end

skynet.start(function()
  local id, host, port = socket.listen("127.0.0.1", 0)
  socket.start(id, function(new) echo(new) end)
  skynet.dispatch("lua", function() skynet.retpack(host .. ":" .. port) end)
end)
