-- The service that runs a snax script: newservice("snaxd", name), which a message "system.init" readies; or newservice("snaxd", name, "init", ...), which is ready
-- when the script's init is. See skynet.snax.
local skynet = require "skynet"
local core = require "skynet.core"
local profile = require "skynet.profile"
local snax = require "skynet.snax"
local interface = require "snax.interface"

local name, begin = ...
local arguments = { n = select("#", ...) - 2, select(3, ...) }

local unpack = table.unpack or unpack

if type(name) ~= "string" then error("snaxd: the name of a script is expected as argument 1, got " .. type(name), 0) end

-- Modules in the folder of that name are the service's own.
local plain_require = require
function require(module)
  if type(module) == "string" and core.script_text(name .. "." .. module) then return plain_require(name .. "." .. module) end
  return plain_require(module)
end

local found, file = interface.load(name)
SERVICE_NAME, SERVICE_PATH = name, string.gsub(file, "[^/]*$", "") .. name .. "/"
interface.mine = found

local started = false

-- By the name of the method: how often it was called, and how many seconds it has computed.
local figures = {}

-- A call is counted when it begins, and its time is when it ends; the time of one that fails is not known.
local function run(method, ...)
  local f = figures[method.name]
  if not f then
    f = { count = 0, time = 0 }
    figures[method.name] = f
  end
  f.count = f.count + 1
  profile.start()
  if method.group == "accept" then
    method.body(...)
  else
    skynet.retpack(method.body(...))
  end
  f.time = f.time + profile.stop()
end

local function init(...)
  if started then error("snax " .. name .. ": init has been called already", 0) end
  local own = found.system.init
  if own then own.body(...) end
  skynet.info_func(function() return figures end)
  started = true
end

local commands = {}

function commands.init(...)
  init(...)
  skynet.ret()
end

function commands.exit(...)
  if not started then error("snax " .. name .. ": init has not been called", 0) end
  local own = found.system.exit
  if own then own.body(...) end
  skynet.ret()
  started = false
  skynet.exit()
end

function commands.profile() skynet.retpack(figures) end

function commands.hotfix(...) skynet.retpack(require "snax.hotfix"(found, ...)) end

-- The names of the methods.
function commands.interface()
  local ids = {}
  for id in pairs(found.methods) do ids[#ids + 1] = id end
  skynet.retpack(ids)
end

local function dispatch(_, _, id, ...)
  local method = found.methods[id]
  if method then
    if not started then error("snax " .. name .. ": init has not returned yet", 0) end
    return run(method, ...)
  end
  local command = type(id) == "string" and commands[string.match(id, "^system%.(.*)$")]
  if not command then error("snax " .. name .. ": no method " .. tostring(id), 0) end
  return command(...)
end

-- Has messages of type lua handled, too: they come from other nodes.
function snax.enablecluster() skynet.dispatch("lua", dispatch) end

skynet.start(function()
  skynet.dispatch("snax", dispatch)
  if begin == "init" then init(unpack(arguments, 1, arguments.n)) end
end)
