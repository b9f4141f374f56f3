-- skynet.profile: how long a coroutine computes. Its waits do not count.
local core = require "skynet.core"

return {
  -- Begins to measure the running coroutine.
  start = core.profile_start,
  -- Gives the seconds since start, and ends the measurement.
  stop = core.profile_stop,
  resume = coroutine.resume,
  wrap = coroutine.wrap,
  yield = coroutine.yield,
}
