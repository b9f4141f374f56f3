local skynet = require "skynet"
local Room = require "room"

describe("the rooms", function()
  local live, ann, room

  before_each(function()
    live = skynet.newservice("live")
    ann = { id = "1", name = "Ann" }
    room = skynet.call(live, "lua", "open", "Chess", ann).room
    skynet.call(live, "lua", "enter", room, ann, 11)
    skynet.call(live, "lua", "enter", room, { id = "2", name = "Bob" }, 12)
  end)

  it("are in the lobby, and gone when nobody has been in them for a while", function()
    expect(skynet.call(live, "lua", "lobby", 13)[1].title).to_be("Chess")
    local _, err = skynet.call(live, "lua", "open", "Another", ann)
    expect(err.code).to_be("has_room")
    skynet.call(live, "lua", "leave", 11)
    skynet.call(live, "lua", "leave", 12)
    time.advance(59 * 100)
    expect(#skynet.call(live, "lua", "lobby", 13)).to_be(1)
    time.advance(2 * 100)
    expect(#skynet.call(live, "lua", "lobby", 13)).to_be(0)
    expect(skynet.call(live, "lua", "on_publish", room, "1")).to_be(false)
  end)

  it("give tickets to their members, in their names", function()
    expect(skynet.call(live, "lua", "ticket", 12, "play").query).to_contain("who=2")
    local _, err = skynet.call(live, "lua", "ticket", 13, "play")
    expect(err.code).to_be("outside")
  end)

  it("are ruled by their hosts alone", function()
    local _, err = skynet.call(live, "lua", "kick", 12, "1")
    expect(err.code).to_be("not_host")
    expect(skynet.call(live, "lua", "on_join", room, "2")).to_be(true)
    expect(skynet.call(live, "lua", "kick", 11, "2")).to_equal({})
    local ok, why = skynet.call(live, "lua", "on_join", room, "2")
    expect(ok).to_be(false)
    expect(why).to_contain("You may come back in")
    time.advance(61 * 100)
    expect(skynet.call(live, "lua", "on_join", room, "2")).to_be(true)
  end)

  it("are full at some time", function()
    for i = 3, 200 do skynet.call(live, "lua", "enter", room, { id = tostring(i), name = "viewer " .. i }, 100 + i) end
    local _, err = skynet.call(live, "lua", "enter", room, { id = "late", name = "Late" }, 999)
    expect(err.msg).to_be("The room is full: 200 are in.")
  end)
end)

describe("a room", function()
  it("knows who is on air, and has eight of them at most", function()
    local room = Room.new("room-1", "Chess", { id = "1", name = "Ann" })
    local members = {}
    for i = 1, 8 do members[i] = { action = "publish", who = tostring(i), protocol = "whip" } end
    room:on_air({ viewers = 3, recording = false, members = members })
    expect(room:card().live).to_be(true)
    expect(#room:view().people).to_be(8)
    expect(room:against_publisher("9")).to_contain("as many as there may be")
    expect(room:against_publisher("8")).to_be_nil() -- who comes again
    room.muted["8"] = true
    room:on_air(nil)
    expect(room:card().live).to_be(false)
    expect(room.muted).to_equal({})
  end)
end)
