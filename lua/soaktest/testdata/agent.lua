-- A service whose like share VMs.
local skynet = require "skynet"
local M = {}
function M.start(self, n) self.n = n end
function M.add(self, n) skynet.yield() self.n = self.n + n return self.n end
function M.fail() error("on purpose") end
function M.nap() skynet.sleep(100) end
function M.leave() skynet.exit() end
return M
