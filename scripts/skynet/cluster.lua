-- skynet.cluster: services of other nodes, by the node's name and theirs. Nodes find each other by themselves, so there are no addresses to configure.
local skynet = require "skynet"

local cluster = {}

-- The addresses that were found, by node and name. What a node that has ended had fails and is found anew.
local found = {}

-- name is a registered name, with or without the @ or . that Skynet puts in front, or the number of a service there.
local function find(node, name)
  local names = found[node]
  if not names then
    names = {}
    found[node] = names
  end
  local address = names[name]
  if not address then
    local plain = name
    if type(name) == "string" then plain = name:gsub("^[@.]", "") end
    address = skynet.call("cluster", "lua", "find", node, plain)
    names[name] = address
  end
  return address
end

-- Whether a request was certainly not handled, so that it can be sent again: its service is gone.
local function gone(err)
  return type(err) == "table" and (err.code == "no_actor" or err.code == "stopped")
end

local function again(node, name, ok, ...)
  if ok then return true, ... end
  if found[node] then found[node][name] = nil end
  return false, ...
end

local function checked(node, name, args, ok, ...)
  if ok then return ... end
  local err = ...
  if gone(err) then -- another may have the name now
    return skynet.call(find(node, name), "lua", table.unpack(args, 1, args.n))
  end
  error(err, 0)
end

-- Sends a request of type lua to a service of another node, and gives its answer; skynet.call with its errors.
function cluster.call(node, name, ...)
  local address = find(node, name)
  return checked(node, name, table.pack(...), again(node, name, pcall(skynet.call, address, "lua", ...)))
end

-- Sends a message of type lua to a service of another node. It waits the first time, until it is found; messages to one service arrive in the order sent.
function cluster.send(node, name, ...)
  skynet.send(find(node, name), "lua", ...)
end

-- Gives the address of a service of another node, which skynet.call and skynet.send take, too.
function cluster.query(node, name)
  return find(node, name)
end

-- What stands for a service of another node in Skynet is a service of this one; here its address does. node may be "node@name".
function cluster.proxy(node, name)
  if not name then node, name = node:match("^(.-)([@.].+)$") end
  if not node then error("cluster.proxy: a node and a name are expected, or node@name", 2) end
  return find(node, name)
end

-- Gives a service of this node, this one if addr is nil, a name by which other nodes find it here.
function cluster.register(name, addr)
  require("skynet.manager").name((name:gsub("^[@.]", "")), addr or skynet.self())
end

-- Nodes reach each other as soon as they have the same NATS: there is nothing to open.
function cluster.open() end

-- Nor addresses to read anew: what was found is forgotten.
function cluster.reload()
  found = {}
end

return cluster
