local skynet = require "skynet"

local M = {}

function M.start(self, name, gold)
  skynet.sleep(1)
  self.name, self.doc = name, { gold = gold }
end

function M.gold(self) return self.doc.gold end

function M.receive(self, n)
  self.doc.gold = self.doc.gold + n
  return true
end

function M.give(self, to, n)
  if self.doc.gold < n then error({ code = "poor", missing = n - self.doc.gold }) end
  self.doc.gold = self.doc.gold - n -- before the wait
  skynet.call(to, "lua", "receive", n)
  return self.doc.gold
end

function M.logout() skynet.exit() end

function M.stop(self)
  skynet.sleep(2)
  skynet.call(".store", "lua", "save", self.name, self.doc)
end

return M
