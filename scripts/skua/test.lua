-- What a test file has, as globals and as this module.
local core = require "skua.test.core"
local tree = require "skua.test.tree"
local calls = require "skua.test.calls"
local mocks = require "skua.test.mocks"
local waits = require "skua.test.waits"

local test = {
  describe = tree.describe, it = tree.it,
  before_each = tree.before_each, after_each = tree.after_each, before_all = tree.before_all, after_all = tree.after_all,
  expect = require "skua.expect",
  spy = calls.spy, mock = mocks.mock,
  time = { freeze = core.freeze, resume = core.thaw },
}

function test.time.advance(cs)
  if not tree.closed() then error("time.advance: in tests only", 2) end
  if type(cs) ~= "number" or cs < 0 then error("time.advance: a time in 1/100 s is expected", 2) end
  local err = waits.wait(core.advance, cs)
  if err ~= "" then error(err, 2) end
end

return test
