-- skynet.killthread: ends a coroutine that waits.
local core = require "skynet.core"

local killthread = {}

-- thread is a coroutine, or a part of what tostring makes of it. Who waits for an answer of its handler gets an error.
-- Gives the coroutine; nil if there is none, or it does not wait.
function killthread.killthread(thread)
  local co = core.stop_thread(thread)
  if co then
    pcall(coroutine.close, co) -- what waits for the host is for the host to close, if the engine can
    return co
  end
end

return killthread
