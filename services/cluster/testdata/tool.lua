-- A service that runs the chunks that it is sent.
skynet = require "skynet"
cluster = require "cluster"
sc = require "skynet.cluster"

local M = {}

function M.run(_, text)
  return assert((loadstring or load)(text, "=chunk"))()
end

function M.echo(_, ...)
  return select(2, skynet.context()), ...
end

function M.fail()
  error("no luck")
end

return M
