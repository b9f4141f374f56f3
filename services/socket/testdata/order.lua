-- In which order those who have to do with the end of a socket go on.
local skynet = require "skynet"
local socket = require "skynet.socket"

local M = {}

function M.listen(self)
  local id, host, port = socket.listen("127.0.0.1", 0)
  socket.start(id, function(new)
    self.id = new
    if self.waits then skynet.wakeup(self) end
  end)
  return host .. ":" .. port
end

function M.accepted(self)
  if not self.id then
    self.waits = true
    skynet.wait(self)
  end
  return socket.start(self.id)
end

function M.order(_, id)
  local list = {}
  local function note(what) list[#list + 1] = what end
  socket.onclose(id, function() note("onclose") end)
  skynet.fork(function()
    socket.readline(id)
    note("reader")
  end)
  skynet.sleep(1)
  socket.close(id)
  note("closer")
  return table.unpack(list)
end

return M
