-- A guild's channel: members come and go, each hears what is said while it is in, once, and in the order of the speaker; the channel ends with the guild.
-- expect: there is no channel
local skynet = require "skynet"
local multicast = require "skynet.multicast"
local tools = require "lib.tools"

local mode, number, name = ...

if mode == "member" then
  skynet.start(function()
    local heard = {}
    local channel = multicast.new {
      channel = number,
      dispatch = function(_, source, text, n)
        heard[#heard + 1] = text .. n
        if n == 3 then skynet.sleep(2) end -- a handler may wait, others are handled meanwhile
      end,
    }
    tools.serve {
      join = function() channel:subscribe() end,
      leave = function() channel:unsubscribe() end,
      say = function(n) channel:publish(name, n) end,
      heard = function() return heard end,
    }
  end)
  return
end

skynet.start(function()
  local own = {}
  local channel = multicast.new { dispatch = function(c, source, text, n) own[#own + 1] = text .. n end }
  assert(type(channel.channel) == "number")
  channel:subscribe()
  local ann = skynet.newservice(SERVICE_NAME, "member", channel.channel, "ann")
  local bob = skynet.newservice(SERVICE_NAME, "member", channel.channel, "bob")
  local function heard(who) return table.concat(skynet.call(who, "lua", "heard"), " ") end

  channel:publish("x", 1)
  skynet.sleep(1)
  assert(heard(ann) == "" and table.concat(own, " ") == "x1", "only who has subscribed, this service too")

  skynet.call(ann, "lua", "join")
  skynet.call(bob, "lua", "join")
  for n = 2, 5 do channel:publish("x", n) end
  skynet.call(ann, "lua", "say", 6)
  skynet.sleep(5)
  assert(heard(bob) == "x2 x3 x4 x5 ann6", heard(bob))
  assert(heard(ann) == heard(bob) and table.concat(own, " ") == "x1 " .. heard(bob))

  skynet.call(ann, "lua", "leave")
  skynet.call(ann, "lua", "leave")
  channel:publish("x", 7)
  skynet.call(bob, "lua", "leave")
  channel:publish("x", 8)
  skynet.call(bob, "lua", "join")
  channel:publish("x", 9)
  skynet.sleep(1)
  assert(heard(ann) == "x2 x3 x4 x5 ann6", "who has left may still speak, and hears nothing")
  assert(heard(bob) == "x2 x3 x4 x5 ann6 x7 x9", heard(bob))

  -- Two channels do not mix.
  local other = multicast.new { dispatch = function(_, _, text) own[#own + 1] = "other " .. text end }
  other:subscribe()
  other:publish("news")
  skynet.sleep(1)
  assert(own[#own] == "other news" and other.channel ~= channel.channel)
  other:unsubscribe()

  channel:delete()
  assert(not pcall(channel.publish, channel, "x", 10))
  pcall(skynet.call, bob, "lua", "say", 11)
  skynet.sleep(1)
  assert(heard(bob) == "x2 x3 x4 x5 ann6 x7 x9")
  print "ok"
end)
