local skynet = require "skynet"

local back = ...
local seen

local M = {}

local function chain()
  local _, e = pcall(skynet.call, back, "lua", "hang")
  seen = e.code
end

function M.chain() chain() end

M["sleep then chain"] = function()
  skynet.sleep(1000, "alarm")
  chain()
end

function M.wake() return skynet.wakeup("alarm") end

function M.seen() return seen end

return M
