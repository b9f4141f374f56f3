local skynet = require "skynet"

local back = ...
local seen, hanging

local M = {}

function M.fork()
  skynet.fork(function() seen = skynet.call(back, "lua", "sleep", 20, "slow") end)
  return "forked"
end

function M.seen() return seen end

function M.hang()
  hanging = coroutine.running()
  skynet.wait()
end

function M.kill()
  if not hanging then return false end
  return skynet.killthread(tostring(hanging)) == hanging
end

return M
