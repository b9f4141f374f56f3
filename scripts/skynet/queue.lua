-- skynet.queue: a critical section. What is called through a queue runs one after the other, also where it waits; a call within a call of the same handler
-- runs at once.
local skynet = require "skynet"
local core = require "skynet.core"

local unpack = table.unpack or unpack

local function pack(...) return { n = select("#", ...), ... } end

-- The error that has its stack already: calls within calls do not put theirs behind it.
local told

-- The stack of an error would be lost behind xpcall. The host's own functions at its bottom tell nobody anything.
local function traceback(e)
  if type(e) ~= "string" or e == told then return e end
  told = debug.traceback(e, 2):gsub("\n\tskua:[^\n]*", "")
  return told
end

local function callable(f)
  local meta = getmetatable(f)
  return type(meta) == "table" and meta.__call ~= nil
end

local function queue()
  local owner, depth = nil, 0
  local waiting, first, last = {}, 1, 0

  local function leave()
    depth = depth - 1
    if depth > 0 then return end
    owner = nil
    if first <= last then
      local next_one = waiting[first]
      waiting[first] = nil
      first = first + 1
      if first > last then first, last = 1, 0 end
      owner = next_one.co
      skynet.wakeup(next_one)
    end
  end

  return function(f, ...)
    if type(f) ~= "function" and not callable(f) then
      error("skynet.queue: a function is expected as argument 1, got " .. type(f), 2)
    end
    local co = core.handler()
    if owner ~= nil and owner ~= co then
      local me = { co = co }
      last = last + 1
      waiting[last] = me
      skynet.wait(me)
    end
    owner = co
    depth = depth + 1
    local result = pack(xpcall(f, traceback, ...))
    leave()
    if depth == 0 then told = nil end
    if not result[1] then error(result[2], 0) end
    return unpack(result, 2, result.n)
  end
end

skynet.queue = queue

return queue
