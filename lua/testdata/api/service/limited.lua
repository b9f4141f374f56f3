local skynet = require "skynet"

skynet.memlimit(8 * 1024 * 1024)
local _, again = pcall(skynet.memlimit, 16 * 1024 * 1024)

local command = {}

function command.hello() return "hello" end

function command.again() return again end

function command.grow()
  local t = {}
  for i = 1, 1e7 do t[i] = ("x"):rep(10000) .. i end
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, name) skynet.retpack(command[name]()) end)
end)
