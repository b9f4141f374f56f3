-- Waits for what is done outside of the scripts: not skynet.call, whose deadline is of the time that tests move.
local skynet = require "skynet"

local waits = {}

local waiting = {}
local last = 0

-- Calls start(number, ...) and waits until somebody answers with that number.
function waits.wait(start, ...)
  last = last + 1
  local id, w = last, {}
  waiting[id] = w
  start(id, ...)
  if not w.done then skynet.wait(w) end
  return w.answer
end

function waits.go(id, answer)
  local w = waiting[id]
  if not w then return end
  waiting[id] = nil
  w.done, w.answer = true, answer
  skynet.wakeup(w)
end

return waits
