-- expect: there are guests
-- What goes wrong in snax services: in init, in methods, in exit, and in what a script defines.
-- expect: no room for
-- expect: the floor is wet
-- expect: start failed
-- expect: handler failed
-- expect: dead letter
local skynet = require "skynet"
local snax = require "skynet.snax"
local tools = require "lib.tools"

skynet.start(function()
  tools.fails("no room for 0", snax.newservice, "snax/room", 0)
  tools.fails("snax/nowhere", snax.newservice, "snax/nowhere")
  tools.fails("snax/unfinished.lua", snax.newservice, "snax/unfinished")
  tools.fails("is defined twice", snax.newservice, "snax/twice")

  local room = snax.newservice("snax/room", 3)
  -- A request that fails: its error has the place, and a table is what it was.
  local err = tools.fails("the floor is wet", room.req.fail)
  assert(err.code == "failed" and string.find(err.message, "snax/room.lua:%d+: the floor is wet"), err.message)
  assert(string.find(err.traceback, "snax/room.lua", 1, true))
  err = tools.fails("", room.req.refuse, 7)
  assert(err.code == "full" and err.seat == 7)
  -- A post that fails is for the log, and the service goes on.
  room.post.fail()
  assert(room.req.enter("ann") == 1 and room.req.enter("bob") == 2 and room.req.enter("cat") == 3)
  tools.fails("full", function() if room.req.enter("dan") == nil then error "full" end end)

  -- An error of another service passes through.
  local other = snax.newservice("snax/room", 1)
  err = tools.fails("the floor is wet", room.req.ask, other.handle, other.type)
  assert(err.code == "failed")

  -- exit that refuses leaves the service as it is.
  tools.fails("there are guests", snax.kill, room)
  assert(room.req.enter("dan") == nil)
  room.post.leave_all()
  assert(snax.kill(room, "closing time") == nil)
  tools.eventually(function() return not pcall(room.req.enter, "eve") end)
  room.post.fail() -- nobody is there, and nobody minds
  tools.fails("", room.req.enter, "eve")

  -- Messages that no method is for.
  tools.fails("no method", skynet.call, other.handle, "snax", "response.nothing")
  tools.fails("no method", skynet.call, other.handle, "snax", 17)
  tools.fails("init has been called already", skynet.call, other.handle, "snax", "system.init")
  print "ok"
end)
