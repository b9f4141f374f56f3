-- A snax service: posts, requests, state in locals, requests that wait while others go on.
local skynet = require "skynet"
local snax = require "skynet.snax"
local tools = require "lib.tools"

skynet.start(function()
  local counter = snax.newservice("snax/counter", 10, "points")
  assert(counter.type == "snax/counter" and type(counter.handle) == "number")
  assert(tostring(counter) == string.format("[snax/counter:%x]", counter.handle))

  assert(counter.req.get() == 10)
  assert(counter.post.add(5) == nil)
  counter.post.add(7)
  local n, name = counter.req.get()
  assert(n == 22 and name == "points", "posts of one sender are handled before its request")

  -- Results as they are, nil among them; arguments, too.
  local a, b, c = counter.req.echo(nil, { x = 1 }, nil)
  assert(a == nil and b.x == 1 and c == nil)
  assert(select("#", counter.req.echo()) == 0 and select("#", counter.req.echo(nil, nil)) == 2)

  -- A request that waits lets the others by.
  local slow
  skynet.fork(function() slow = counter.req.slow(20) end)
  skynet.sleep(1)
  assert(counter.req.get() == 22 and slow == nil)
  skynet.sleep(30)
  assert(slow == "slept 20")

  -- Methods call each other; globals are the service's own.
  assert(counter.req.twice(4) == 30)
  assert(counter.req.globals() == "helper of points" and helper == nil)

  -- The object is one by its address, and can be passed on as that.
  local same = snax.bind(counter.handle, counter.type)
  assert(same == counter and same.req.get() == 30)
  tools.fails("is no", snax.bind, counter.handle, "snax/room")

  -- Two services of one script have nothing in common.
  local other = snax.newservice("snax/counter", 0, "other")
  other.post.add(1)
  assert(other.req.get() == 1 and counter.req.get() == 30 and other ~= counter)

  -- What a script has not, is an error here.
  tools.fails("post snax/counter:get no exist", function() counter.post.get() end)
  tools.fails("request snax/counter:add no exist", function() counter.req.add() end)
  tools.fails("no exist", function() return counter.req.nothing end)
  print "ok"
end)
