-- How often each method of a snax service has been called, and how long it has computed. Waits do not count.
-- expect: no such recipe
local skynet = require "skynet"
local snax = require "skynet.snax"
local tools = require "lib.tools"

skynet.start(function()
  local smith = snax.newservice("snax/smith")
  assert(next(snax.profile_info(smith)) == nil)
  for i = 1, 5 do assert(smith.req.forge("nail", i) == i) end
  smith.post.rest(50)
  smith.post.rest(50)
  pcall(smith.req.forge, "unknown", 1)
  skynet.sleep(1)

  local figures = snax.profile_info(smith)
  assert(figures.forge.count == 6 and figures.forge.time >= 0, "those that failed are counted, too")
  assert(figures.rest.count == 2 and figures.rest.time == 0, "the time is known when a call has ended")
  skynet.sleep(60)
  figures = snax.profile_info(smith)
  assert(figures.rest.count == 2 and figures.rest.time < 0.5)

  -- The console's info is the same.
  local info = skynet.call(smith.handle, "debug", "INFO")
  assert(info.forge.count == 6 and tools.equal(info, snax.profile_info(smith)))
  print "ok"
end)
