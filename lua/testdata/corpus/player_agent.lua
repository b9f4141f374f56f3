-- Services that return a table of handlers, side by side with those in Skynet's style.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

skynet.start(function()
  local saved = {}
  tools.serve { save = function(name, doc) saved[name] = doc end }
  skynet.name(".store", skynet.self())

  local ann = skynet.newservice("service/agent", "ann", 100)
  local bob = skynet.newservice("service/agent", "bob", 5)
  assert(skynet.call(ann, "lua", "gold") == 100)
  assert(skynet.call(ann, "lua", "give", bob, 30) == 70)
  assert(skynet.call(bob, "lua", "gold") == 35)
  local err = tools.fails("", skynet.call, bob, "lua", "give", ann, 100)
  assert(err.code == "poor" and err.missing == 65)
  tools.fails("no handler", skynet.call, bob, "lua", "steal", ann)
  tools.fails("called by the host only", skynet.call, bob, "lua", "start", "eve")

  -- Gold goes round in waits that overlap.
  local done = 0
  for i = 1, 20 do
    skynet.fork(function()
      pcall(skynet.call, i % 2 == 0 and ann or bob, "lua", "give", i % 2 == 0 and bob or ann, i)
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 20 end)
  assert(skynet.call(ann, "lua", "gold") + skynet.call(bob, "lua", "gold") == 105)

  -- An end by itself lets it save, with waits.
  local gold = skynet.call(ann, "lua", "gold")
  skynet.send(ann, "lua", "logout")
  tools.eventually(function() return saved.ann end)
  assert(saved.ann.gold == gold)
  tools.eventually(function() return not pcall(skynet.call, ann, "lua", "gold") end)
  assert(skynet.call(bob, "lua", "gold") == 105 - gold)
  skynet.send(bob, "lua", "logout")
  tools.eventually(function() return saved.bob end)
  print "ok"
end)
