-- Has many sessions with another service, one after the other.
local skynet = require "skynet"
local M = {}

function M.start(self) self.echo = skynet.newservice("echo") end

function M.calls(self, n)
  for i = 1, n do assert(skynet.call(self.echo, "lua", "echo", i) == i) end
end

function M.failures(self, n)
  for i = 1, n do
    local ok, e = pcall(skynet.call, self.echo, "lua", "fail")
    assert(not ok and e.code == "no")
  end
end

function M.later(self, n)
  for i = 1, n do assert(skynet.call(self.echo, "lua", "later", i) == i) end
end

function M.waits(self, n)
  local token = {}
  for i = 1, n do
    skynet.fork(skynet.wakeup, token)
    skynet.wait(token)
  end
end

function M.sleeps(self, n)
  for i = 1, n do skynet.yield() end
end

return M
