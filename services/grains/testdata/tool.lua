-- A service that runs the chunks that it is sent.
skynet = require "skynet"
grain = require "grain"

local M = {}

function M.run(_, text)
  return assert((loadstring or load)(text, "=chunk"))()
end

return M
