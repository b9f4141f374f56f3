-- A UDP server that answers.
local skynet = require "skynet"
local socket = require "skynet.socket"

local M = {}

function M.start(self) self.got = {} end

function M.listen(self, host)
  self.id = socket.udp_listen(host, 0, function(text, from)
    self.got[#self.got + 1] = { text, socket.udp_address(from) }
    socket.sendto(self.id, from, "OK " .. text)
    skynet.wakeup(self)
  end)
  for _, one in ipairs(socket.netstat()) do
    if one.id == self.id then return tonumber(one.sock:match(":(%d+)$")) end
  end
end

function M.got(self)
  while #self.got == 0 do skynet.wait(self) end
  return table.unpack(table.remove(self.got, 1))
end

return M
