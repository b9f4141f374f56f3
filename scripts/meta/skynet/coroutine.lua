---@meta skynet.coroutine

---Coroutines of the script's own in which skynet.call and the like may wait: that is no yield to whoever has resumed them.
---@class skynet.coroutine
local coroutine = {}

---@param f function
---@return thread
function coroutine.create(f) end

---Runs a coroutine until it yields, ends, or waits; while it waits, so does who has resumed it.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ...
function coroutine.resume(co, ...) end

---@param ... any
---@return any ...
function coroutine.yield(...) end

---@param f function
---@return function
function coroutine.wrap(f) end

---"blocked" is one that waits, in a skynet.call, say.
---@param co thread
---@return "running"|"suspended"|"normal"|"dead"|"blocked"
function coroutine.status(co) end

---@return thread co
---@return boolean main
function coroutine.running() end

---@return boolean
function coroutine.isyieldable() end

---@param co thread
---@return boolean ok
---@return any error
function coroutine.close(co) end

---The coroutine of the service that a coroutine runs in.
---@param co? thread
---@return thread
---@return boolean
function coroutine.thread(co) end

return coroutine
