-- Counts what it is sent, and tells all of it: what the client says is held against this.
local skynet = require "skynet"
local gate = require "gate"

local M = { client = {} }
local client = M.client

function M.start(self)
  self.seen = {}
  self.pushed = 0
end

function M.connect(self, session)
  self.session = session
  self.connects = (self.connects or 0) + 1
end

local function push(self)
  self.pushed = self.pushed + 1
  gate.push(self.session, "counted", { n = self.pushed })
end

function client.count(self, request)
  self.seen[#self.seen + 1] = request.i
  push(self)
  return { i = request.i, n = #self.seen, pad = string.rep("x", request.pad or 0) }
end

client.note = client.count

-- Pushes for a while, one each 10 ms, whether the client is there or not.
function client.chatter(self, request)
  skynet.fork(function()
    for _ = 1, request.count do
      push(self)
      skynet.sleep(1)
    end
    self.quiet = true
  end)
  return {}
end

function client.report(self)
  return { seen = self.seen, pushed = self.pushed, connects = self.connects, quiet = self.quiet or false }
end

function client.refuse()
  return nil, { code = "poor", msg = "not enough gold" }
end

function client.slow(self, request)
  skynet.sleep(request.cs)
  return { late = true }
end

return M
