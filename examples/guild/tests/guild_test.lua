local grain = require "grain"
local store = require "store"

describe("a guild", function()
  local owls = grain("guild", "owls")

  it("has members and gold", function()
    expect(owls:call("join", "ann")).to_be(1)
    expect(owls:call("join", "bob")).to_be(2)
    expect(owls:call("join", "ann")).to_be(2)
    expect(owls:call("deposit", "bob", 30)).to_be(30)
    expect(store.load("guild", "owls").gold).to_be(30)
    expect(owls:call("look")).to_equal({ name = "owls", gold = 30, members = 2 })
  end)

  it("takes no gold of strangers", function()
    expect(function() owls:call("deposit", "eve", 5) end).to_error({ code = "stranger" })
    expect(function() owls:call("deposit", "ann", -5) end).to_error({ code = "bad_gold" })
  end)

  it("is full at some time", function()
    local crowd = grain("guild", "crowd")
    for i = 1, 50 do crowd:call("join", "player" .. i) end
    expect(function() crowd:call("join", "late") end).to_error({ code = "full" })
    expect(crowd:call("leave", "player7")).to_be(49)
    expect(crowd:call("join", "late")).to_be(50)
  end)

  it("sleeps when nobody has spoken to it, and knows all when it is woken", function()
    owls:send("leave", "bob")
    time.advance(11 * 60 * 100)
    expect(owls:call("look")).to_equal({ name = "owls", gold = 30, members = 1 })
  end)
end)
