-- cluster: what there is of other nodes: who they are, services by name on all of them, locks and elections, topics.
local skynet = require "skynet"

local cluster = {}

local function call(...)
  return skynet.call("cluster", "lua", ...)
end

-- Waits as long as it takes, or for some seconds.
local function wait(seconds, ...)
  return skynet.call_timeout(seconds and seconds * 100 or math.huge, "cluster", "lua", ...)
end

-- Gives a list of all nodes, this one too, each { name, incarnation, version, started, state, self, draining, roles, labels, actors, sessions, grains, cpu, memory }.
function cluster.members()
  return call("members")
end

-- Gives the address of a service of this node, of this one if it is nil, as text that works on all nodes.
function cluster.address(service)
  return call("address", service)
end

-- Gives this service, or another of this node, a name that all nodes find, beside others that have it. weight counts for "load" and "key".
function cluster.register(name, service, weight)
  return call("register", name, service, weight)
end

-- Takes the name back; false if the service has not had it.
function cluster.unregister(name, service)
  return call("unregister", name, service)
end

-- Gives all that have a name: a list of { address, node, weight, draining }.
function cluster.query(name)
  return call("query", name)
end

-- Gives the address of one that has a name, or nil: how is "turn" (nil, too), "load" for one of the less loaded nodes, or "key" for the same one for the same key.
function cluster.any(name, how, key)
  return call("any", name, how, key)
end

local lock = {}
lock.__index = lock

function lock:__tostring()
  return string.format("[Lock %s epoch %d]", self.name, self.epoch)
end

local function made(kind, name, id, epoch, lost)
  if not id then return nil end
  local self = setmetatable({ kind = kind, name = name, id = id, epoch = epoch }, lock)
  if lost then
    skynet.fork(function()
      local reason = wait(nil, "lost", id)
      if reason then lost(self, reason) end
    end)
  end
  return self
end

-- Takes a lock of the cluster, and waits its turn: for some seconds, after which it gives nil, or for as long as it takes. The lock has an epoch, which is higher than any that the lock had before: it goes
-- along with what is written under it, so that whoever keeps that can refuse lower ones. lost(lock, reason) is called if the lock ends before it is released.
function cluster.lock(name, seconds, lost)
  local ok, id, epoch = pcall(wait, seconds, "lock", "lock", name)
  if ok then return made("lock", name, id, epoch, lost) end
  if seconds and type(id) == "table" and id.code == "deadline" then return nil end
  error(id, 0)
end

-- Takes a lock if nobody has it or waits for it; gives nil if somebody does.
function cluster.try_lock(name, lost)
  local id, epoch = call("try", "lock", name)
  return made("lock", name, id, epoch, lost)
end

-- Whether nobody else can have the lock now.
function lock:held()
  return call("held", self.id)
end

-- Gives the lock back; false if it had ended before.
function lock:release()
  return call("release", self.id)
end

-- Competes to be the leader of that name, for as long as this service lives or until stop is called, which it returns: elected(lock) is called when it is, lost(reason) when it is not any more without having been
-- asked. It competes again then.
function cluster.campaign(name, elected, lost)
  local stopped, current = false, nil
  local again = {}
  skynet.fork(function()
    while not stopped do
      local ok, id, epoch = pcall(wait, 10, "lock", "leader", name)
      if ok and stopped then
        call("release", id)
      elseif ok then
        current = made("leader", name, id, epoch)
        skynet.fork(elected, current)
        local reason = wait(nil, "lost", id)
        current = nil
        if reason and lost then lost(reason) end
      elseif not (type(id) == "table" and id.code == "deadline") then
        skynet.error("cluster.campaign " .. name .. ": " .. tostring(id))
        skynet.sleep(100, again)
      end
    end
  end)
  return function()
    stopped = true
    skynet.wakeup(again)
    if current then current:release() end
  end
end

-- Gives who leads, { node, epoch, since, address }, or nil.
function cluster.leader(name)
  return call("holder", "leader", name)
end

-- Gives who has a lock, as cluster.leader does.
function cluster.holder(name)
  return call("holder", "lock", name)
end

-- Gives true to the first who asks for this name in the cluster, and false to all others for some seconds (60 if it is nil): what is to be done once and not by each node, such as a job of the calendar.
function cluster.once(name, seconds)
  return call("once", "cron", name, seconds or 60)
end

-- What this service does with topics.
local subscribed = {}

skynet.dispatch("topic", function(_, source, topic, ...)
  local f = subscribed[topic]
  if f then f(source, ...) end -- else it has unsubscribed while this was on its way
end)

-- Has func(source, ...) called with what is published to a topic by services of all nodes. It may wait.
function cluster.subscribe(topic, func)
  if type(func) ~= "function" then
    error("cluster.subscribe: a function is expected as argument 2, got " .. type(func), 2)
  end
  if subscribed[topic] then
    error("cluster.subscribe: this service has subscribed to " .. topic .. " already; cluster.unsubscribe ends it", 2)
  end
  subscribed[topic] = func
  local ok, err = pcall(call, "subscribe", topic)
  if not ok then
    subscribed[topic] = nil
    error(err, 0)
  end
end

-- Ends that.
function cluster.unsubscribe(topic)
  subscribed[topic] = nil
  call("unsubscribe", topic)
end

-- Publishes the values to all services of the cluster that have subscribed. It does not wait.
function cluster.publish(topic, ...)
  skynet.send("cluster", "lua", "publish", topic, ...)
end

return cluster
