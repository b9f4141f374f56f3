-- A listener that hands each connection to an agent of its own, in this file, too.
local skynet = require "skynet"
local socket = require "skynet.socket"

local mode, id = ...

-- Answers lines until one is "bye"; waits inside pcall, as scripts do that want to live on.
local function serve(socket_id)
  assert(socket.start(socket_id))
  local ok, err = pcall(function()
    while true do
      local line, rest = socket.readline(socket_id)
      if not line then error("the peer has gone, " .. #rest .. " bytes are left") end
      if line == "bye" then return end
      socket.write(socket_id, line:upper() .. "\n")
    end
  end)
  if not ok then skynet.error(err) end
  socket.close(socket_id)
  skynet.exit()
end

if mode == "agent" then
  skynet.start(function()
    skynet.fork(serve, tonumber(id))
  end)
else
  skynet.start(function()
    local listener, host, port = socket.listen("127.0.0.1:0")
    socket.start(listener, function(new, address)
      assert(address:match("^127%.0%.0%.1:%d+$"), address)
      skynet.newservice("lines", "agent", new)
    end)
    skynet.dispatch("lua", function() skynet.retpack(host .. ":" .. port) end)
  end)
end
