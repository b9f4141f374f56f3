-- grain: services that are called by kind and id, such as player 42. One lives on one node of the cluster at a time, is started by the first message to it, and sleeps when nobody has spoken to it for a while.
--
--   local grain = require "grain"
--   local player = grain("player", 42)
--   player:send("gift", { gold = 3 })
--   local gold = player:call("balance")
--
-- The kinds are the tables [grains.NAME] of skua.toml.
local core = require "skua.grain"

local grain = {}

local proxy = {}
proxy.__index = proxy

function proxy:__tostring()
  return string.format("[Grain %s/%s]", self.kind, self.id)
end

local function finish(ok, ...)
  if not ok then error((...), 0) end
  return ...
end

-- Asks the grain and gives its answer, as skynet.call does.
function proxy:call(...)
  return finish(core.call(self.kind, self.id, nil, ...))
end

-- The same, with a timeout in 1/100 s.
function proxy:call_timeout(centiseconds, ...)
  if type(centiseconds) ~= "number" then
    error("grain:call_timeout: a time in 1/100 s is expected as argument 1, got " .. type(centiseconds), 2)
  end
  return finish(core.call(self.kind, self.id, centiseconds, ...))
end

-- Gives the grain a message, as skynet.send does.
function proxy:send(...)
  return core.send(self.kind, self.id, ...)
end

-- Gives the grain of that kind and id, which is a string or a whole number. It is started by what is sent to it, not by this.
function grain.of(kind, id)
  if type(kind) ~= "string" then
    error("grain: the name of a kind is expected as argument 1, got " .. type(kind), 2)
  end
  if type(id) ~= "string" and type(id) ~= "number" then
    error("grain: an id is expected as argument 2, which is a string or a whole number, got " .. type(id), 2)
  end
  return setmetatable({ kind = kind, id = id }, proxy)
end

-- Gives the kind, the id and the epoch of the grain that this service is; nothing if it is none. The epoch is higher than that of any activation of the grain before, on whatever node.
grain.self = core.self

-- Ends this activation when it has handled what it was sent so far: its stop is called, as when it was idle. The next message to the grain starts it anew.
grain.sleep = core.sleep

return setmetatable(grain, { __call = function(_, kind, id) return grain.of(kind, id) end })
