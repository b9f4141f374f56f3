-- A grain that counts.
local skynet = require "skynet"
local grain = require "grain"

local M = {}

function M.start(self, id, kind, epoch)
  if id == "broken" then
    error("its content is broken")
  end
  skynet.sleep(2) -- what comes meanwhile waits
  self.n, self.id, self.kind, self.epoch = 100, id, kind, epoch
end

function M.add(self, n)
  self.n = self.n + n
  return self.n
end

function M.who(self)
  local kind, id, epoch = grain.self()
  assert(kind == self.kind and id == self.id and epoch == self.epoch)
  return kind, id, skynet.getenv("node")
end

function M.epoch(self)
  return self.epoch
end

function M.fail()
  error("no luck")
end

function M.sleep()
  grain.sleep()
end

function M.pass(_, kind, id, ...)
  return grain(kind, id):call(...)
end

return M
