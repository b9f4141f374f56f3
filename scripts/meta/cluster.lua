---@meta cluster

---What there is of other nodes: who they are, services by name on all of them, locks and elections, topics.
---@class cluster
local cluster = {}

---@class cluster.member
---@field name string
---@field incarnation integer
---@field version string
---@field started integer in seconds, as os.time counts
---@field state "alive"|"suspect"|"dead"|"left"
---@field self boolean
---@field draining boolean
---@field roles string[]
---@field labels table<string, string>
---@field actors integer
---@field sessions integer
---@field grains integer
---@field cpu number share of the cores, 0 to 1
---@field memory number

---@class cluster.instance
---@field address skynet.address
---@field node string
---@field weight number
---@field draining boolean

---@class cluster.lock
---@field name string
---@field epoch integer higher than any that the lock had before: whoever keeps what is written under it refuses lower ones
local lock = {}

---Whether nobody else can have the lock now.
---@return boolean
function lock:held() end

---Gives the lock back; false if it had ended before.
---@return boolean
function lock:release() end

---@class cluster.holder
---@field node string
---@field epoch integer
---@field since integer
---@field address string

---All nodes, this one too.
---@return cluster.member[]
function cluster.members() end

---The address of a service of this node, of this one if it is nil, as text that works on all nodes.
---@param service skynet.address?
---@return string
function cluster.address(service) end

---Gives a service of this node a name that all nodes find, beside others that have it.
---@param name string
---@param service skynet.address? nil is this one
---@param weight number?
---@return boolean
function cluster.register(name, service, weight) end

---Takes the name back; false if the service has not had it.
---@param name string
---@param service skynet.address?
---@return boolean
function cluster.unregister(name, service) end

---All that have a name.
---@param name string
---@return cluster.instance[]
function cluster.query(name) end

---The address of one that has a name, or nil.
---@param name string
---@param how "turn"|"load"|"key"|nil
---@param key any?
---@return skynet.address?
function cluster.any(name, how, key) end

---Takes a lock, and waits its turn: for some seconds, after which it gives nil, or for as long as it takes.
---@param name string
---@param seconds number?
---@param lost (fun(lock: cluster.lock, reason: string))? called if it ends before it is released
---@return cluster.lock?
function cluster.lock(name, seconds, lost) end

---Takes a lock if nobody has it or waits for it.
---@param name string
---@param lost (fun(lock: cluster.lock, reason: string))?
---@return cluster.lock?
function cluster.try_lock(name, lost) end

---Competes to be the leader of that name until stop is called.
---@param name string
---@param elected fun(lock: cluster.lock)
---@param lost (fun(reason: string))?
---@return fun() stop
function cluster.campaign(name, elected, lost) end

---Who leads.
---@param name string
---@return cluster.holder?
function cluster.leader(name) end

---Who has a lock.
---@param name string
---@return cluster.holder?
function cluster.holder(name) end

---True for the first who asks for this name in the cluster, false for all others for some seconds (60).
---@param name string
---@param seconds number?
---@return boolean
function cluster.once(name, seconds) end

---Has func called with what is published to a topic by services of all nodes. It may wait.
---@param topic string
---@param func fun(source: skynet.address, ...: any)
function cluster.subscribe(topic, func) end

---Ends that.
---@param topic string
function cluster.unsubscribe(topic) end

---Publishes the values to all services that have subscribed.
---@param topic string
---@param ... any
function cluster.publish(topic, ...) end

return cluster
