-- In which order those who have to do with the end of a socket go on.
local skynet = require "skynet"
local socket = require "skynet.socket"

local M = {}

function M.listen(self)
  local id, host, port = socket.listen("127.0.0.1", 0)
  socket.start(id, function(new)
    self.id = new
    socket.close(id)
    if self.waits then skynet.wakeup(self) end
  end)
  return host .. ":" .. port
end

function M.accepted(self)
  if not self.id then
    self.waits = true
    skynet.wait(self)
  end
  local id = socket.start(self.id)
  self.id, self.waits = nil, nil
  return id
end

-- Reads until the peer ends it; M.over waits for that.
function M.arm(self, id)
  self.list = {}
  socket.onclose(id, function() self.list[#self.list + 1] = "onclose" end)
  skynet.fork(function()
    socket.readline(id)
    self.list[#self.list + 1] = "reader"
    self.over = true
    skynet.wakeup(self)
  end)
end

-- Is answered when what the message before has forked waits.
function M.sync() end

function M.over(self)
  if not self.over then skynet.wait(self) end
  return table.unpack(self.list)
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
