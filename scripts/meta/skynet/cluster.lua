---@meta skynet.cluster

---Services of other nodes, by the node's name and theirs.
---@class skynet.cluster
local cluster = {}

---Sends a request of type lua to a service of another node, and gives its answer.
---@param node string
---@param name string|integer a registered name, with or without @ or ., or the number of a service there
---@param ... any
---@return any ...
function cluster.call(node, name, ...) end

---Sends a message of type lua to a service of another node.
---@param node string
---@param name string|integer
---@param ... any
function cluster.send(node, name, ...) end

---The address of a service of another node, which skynet.call and skynet.send take, too.
---@param node string
---@param name string|integer
---@return skynet.address
function cluster.query(node, name) end

---The same; node may be "node@name".
---@param node string
---@param name (string|integer)?
---@return skynet.address
function cluster.proxy(node, name) end

---Gives a service of this node a name by which other nodes find it here.
---@param name string
---@param addr skynet.address? nil is this service
function cluster.register(name, addr) end

---There is nothing to open: nodes find each other.
function cluster.open() end

---Forgets what was found.
function cluster.reload() end

return cluster
