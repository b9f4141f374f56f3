---@meta skynet.profile

---CPU time of coroutines. What they wait is not counted.
---@class skynet.profile
local profile = {}

---Begins to count the CPU time of a coroutine.
---@param co? thread default the running one
function profile.start(co) end

---Ends counting.
---@param co? thread default the running one
---@return number seconds
function profile.stop(co) end

---coroutine.resume that counts.
---@param co thread
---@param ... any
---@return boolean ok
---@return any ...
function profile.resume(co, ...) end

---coroutine.wrap that counts.
---@param f function
---@return function
function profile.wrap(f) end

---coroutine.yield.
---@param ... any
---@return any ...
function profile.yield(...) end

return profile
