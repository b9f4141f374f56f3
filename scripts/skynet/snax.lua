-- skynet.snax: services that are sets of functions. A script defines `accept.name`, which obj.post.name(...) calls without waiting, `response.name`, which
-- obj.req.name(...) calls and whose results that gives, and perhaps init(...) and exit(...).
local skynet = require "skynet"
local core = require "skynet.core"
local interface = require "snax.interface"

local snax = {}

skynet.register_protocol { name = "snax", id = skynet.PTYPE_SNAX, pack = skynet.pack, unpack = skynet.unpack }

-- The methods that scripts have, by the name of the script: { accept = { name = id }, response = { name = id } }.
local known = {}

local function group()
  return { accept = {}, response = {}, system = { init = "system.init", exit = "system.exit", hotfix = "system.hotfix", profile = "system.profile" } }
end

local function listed(name, ids, open)
  local t = group()
  t.name, t.open = name, open
  for _, id in ipairs(ids) do
    local kind, method = string.match(id, "^(%a+)%.(.*)$")
    t[kind][method] = id
  end
  return t
end

local function ids_of(found)
  local ids = {}
  for id in pairs(found.methods) do ids[#ids + 1] = id end
  return ids
end

-- Gives what a script has: a table with accept, response and system, in which the names of methods have what they are called by in messages of type snax.
function snax.interface(name)
  if not known[name] then
    local mine = interface.mine
    local found = mine and mine.name == name and mine or interface.read(name)
    known[name] = listed(name, ids_of(found), found.open)
  end
  return known[name]
end

-- Asks a service for its interface, which nobody knows better.
local function learn(handle, name)
  if known[name] and known[name].exact then return end
  known[name] = listed(name, skynet.call(handle, "snax", "system.interface"))
  known[name].exact = true
end

local function method(t, kind, name)
  local id = t[kind][name]
  if id == nil and t.open and type(name) == "string" then id = kind .. "." .. name end
  return id
end

local function posts(t, handle)
  return setmetatable({}, { __index = function(self, name)
    local id = method(t, "accept", name)
    if not id then error(string.format("post %s:%s no exist", t.name, tostring(name)), 2) end
    local function f(...) skynet.send(handle, "snax", id, ...) end
    rawset(self, name, f)
    return f
  end })
end

local function requests(t, handle)
  return setmetatable({}, { __index = function(self, name)
    local id = method(t, "response", name)
    if not id then error(string.format("request %s:%s no exist", t.name, tostring(name)), 2) end
    local function f(...) return skynet.call(handle, "snax", id, ...) end
    rawset(self, name, f)
    return f
  end })
end

local meta = {
  __tostring = function(o) return string.format("[%s:%x]", o.type, o.handle) end,
  __eq = function(a, b) return a.handle == b.handle and a.type == b.type end,
}

-- Objects of services by their addresses, those used lately: what does not end must not grow.
local young, old, count = {}, {}, 0
local generation = 1000

local function cached(handle)
  local o = young[handle] or old[handle]
  if o and not young[handle] then
    count = count + 1
    young[handle] = o
  end
  return o
end

local function cache(handle, o)
  if count >= generation then young, old, count = {}, young, 0 end
  young[handle] = o
  count = count + 1
end

-- Gives the object of an address, which has to be of a service of that script.
function snax.bind(handle, name)
  local o = cached(handle)
  if o then
    if o.type ~= name then error(string.format("snax.bind: %s is no %s", tostring(o), tostring(name)), 2) end
    return o
  end
  local t = snax.interface(name)
  o = setmetatable({ post = posts(t, handle), req = requests(t, handle), type = name, handle = handle }, meta)
  cache(handle, o)
  return o
end

local function bound(handle, name)
  learn(handle, name)
  return snax.bind(handle, name)
end

-- Starts a service and gives its address, when its init has returned.
function snax.rawnewservice(name, ...) return skynet.newservice("snaxd", name, "init", ...) end

-- Starts a service, and gives its object.
function snax.newservice(name, ...) return bound(snax.rawnewservice(name, ...), name) end

local function unique(name, query, ...)
  if type(name) ~= "string" then error("snax: the name of a script is expected as argument 1, got " .. type(name), 3) end
  return bound(core.unique("snax " .. name, query, "snaxd", name, "init", ...), name)
end

-- Starts the service of that script that is there once, unless it is there already.
function snax.uniqueservice(name, ...) return unique(name, false, ...) end

-- Waits for it.
function snax.queryservice(name) return unique(name, true) end

-- In Skynet these are there once in a network of nodes that is set up as one; here that is this node.
snax.globalservice, snax.queryglobal = snax.uniqueservice, snax.queryservice

-- Has a service's exit called with the arguments, and ends it.
function snax.kill(obj, ...) return skynet.call(obj.handle, "snax", "system.exit", ...) end

local function patched(ok, ...)
  if ok then return ... end
  error((...), 0)
end

-- Gives methods of a service that runs other functions: see snax.hotfix. Gives what the patch's function hotfix gives; a patch that does not fit is an error.
function snax.hotfix(obj, source, ...) return patched(skynet.call(obj.handle, "snax", "system.hotfix", source, ...)) end

-- Gives this service's own object.
function snax.self() return snax.bind(skynet.self(), SERVICE_NAME) end

-- Ends this service; its exit gets the arguments.
function snax.exit(...) return snax.kill(snax.self(), ...) end

-- Writes a line to the log.
function snax.printf(fmt, ...) skynet.error(string.format(fmt, ...)) end

-- Gives, by the name of the method, its count of calls and the seconds that they have computed: { count = 1, time = 0.001 }.
function snax.profile_info(obj) return skynet.call(obj.handle, "snax", "system.profile") end

return snax
