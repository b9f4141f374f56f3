-- skynet.coroutine: coroutines of the script's own in which one can wait. A wait suspends the whole handler; coroutines that wait in this way are "blocked"
-- and can't be resumed by others.
local core = require "skynet.core"

local create, resume, status = coroutine.create, coroutine.resume, coroutine.status

local M = {
  create = create,
  yield = coroutine.yield,
  running = coroutine.running,
  isyieldable = coroutine.isyieldable,
  close = coroutine.close,
}

-- The handlers' coroutines that the coroutines which are resumed belong to.
local owners = {}

local function done(co, ...)
  owners[co] = nil
  return ...
end

-- Is coroutine.resume.
function M.resume(co, ...)
  local mine = core.handler()
  local owner = owners[co]
  if owner and owner ~= mine then
    return false, "cannot resume a skynet coroutine suspend by skynet framework"
  end
  if owner then return resume(co, ...) end -- of the running handler: it runs, and that is what the error says
  owners[co] = mine
  return done(co, resume(co, ...))
end

-- Is coroutine.status, but "blocked" for a coroutine that waits in another handler.
function M.status(co)
  local owner = owners[co]
  if owner and owner ~= core.handler() then return "blocked" end
  return status(co)
end

-- Gives the coroutine of the handler that co runs in, and whether it is co itself.
function M.thread(co)
  co = co or coroutine.running()
  local owner = owners[co]
  if owner then return owner, false end
  return co, true
end

local function results(ok, ...)
  if ok then return ... end
  error((...), 0)
end

function M.wrap(f)
  local co = create(f)
  return function(...) return results(M.resume(co, ...)) end
end

return M
