-- skynet.killthread: ends a coroutine that waits.
local core = require "skynet.core"

local killthread = {}

-- thread is a coroutine, or a part of what tostring makes of it. Its variables that are to be closed are. Who waits for an answer of its handler gets an error.
-- Gives the coroutine; nil if there is none, or it does not wait.
function killthread.killthread(thread)
  local co = core.stop_thread(thread)
  if co then
    coroutine.close(co)
    return co
  end
end

return killthread
