-- Tests run inside a real node: services can be started and called, and waits work.
local skynet = require "skynet"

describe("counter", function()
  it("adds", function()
    local counter = skynet.newservice("counter")
    expect(skynet.call(counter, "lua", "add", 2)).to_be(2)
    expect(skynet.call(counter, "lua", "add", 40)).to_be(42)
    expect(skynet.call(counter, "lua", "get")).to_be(42)
  end)

  it("refuses what is no number", function()
    local counter = skynet.newservice("counter")
    expect(function() skynet.call(counter, "lua", "add", "two") end).to_fail("an integer is expected")
    expect(skynet.call(counter, "lua", "get")).to_be(0)
  end)
end)
