---@meta skynet.queue

local skynet = require "skynet"

---Makes a critical section: what is called through it runs one after the other, waits included. It may be entered again from inside.
---@return fun(f: fun(...): ..., ...): ... run calls f with the arguments, and gives its results
function skynet.queue() end

return skynet.queue
