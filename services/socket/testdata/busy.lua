-- A service that has no time for its datagrams.
local skynet = require "skynet"
local socket = require "skynet.socket"

local M = {}

function M.udp(self)
  self.heard = 0
  return socket.udp(function() self.heard = self.heard + 1 end, "127.0.0.1", 0)
end

function M.heard(self) return self.heard end

function M.compute(_, milliseconds)
  local till = skynet.hpc() + milliseconds * 1000000
  repeat until skynet.hpc() > till
end

return M
