-- skynet: the verbs of a service. What moves messages is in Go (skynet.core); this file gives it Skynet's shape.
local core = require "skynet.core"

local skynet = {
  send = core.send,
  ret = core.ret,
  retpack = core.retpack,
  response = core.response,
  ignoreret = core.ignoreret,
  pack = core.pack,
  unpack = core.unpack,
  context = core.context,
  start = core.start,
  dispatch = core.dispatch,
  fork = core.fork,
  timeout = core.timeout,
  self = core.self,
  address = core.address,
  localname = core.localname,
  exit = core.exit,
  now = core.now,
  time = core.time,
  starttime = core.starttime,
  hpc = core.hpc,
  getenv = core.getenv,
  setenv = core.setenv,
  error = core.error,
  PTYPE_TEXT = 0,
  PTYPE_CLIENT = 3,
  PTYPE_LUA = 10,
}

-- What a failed call raises: a table that tells why, and prints as text.
local call_error = {}
call_error.__index = call_error

function call_error:__tostring()
  if self.traceback == "" then return self.message end
  return self.message .. "\n" .. self.traceback
end

-- A table that the other side raised arrives as it was, so that both sides can agree on fields of their own.
local function answer(ok, ...)
  if ok then return ... end
  local code, message, traceback, raised = ...
  if raised ~= nil then error(raised, 0) end
  error(setmetatable({ code = code, message = message, traceback = traceback }, call_error), 0)
end

local call, newservice = core.call, core.newservice

-- Sends a request and waits for the answer, at most as long as the node's call_timeout.
function skynet.call(address, typename, ...)
  return answer(call(nil, address, typename, ...))
end

-- skynet.call with a timeout of its own, in 1/100 s.
function skynet.call_timeout(cs, address, typename, ...)
  return answer(call(cs, address, typename, ...))
end

-- Starts a service and waits until its start function has returned.
function skynet.newservice(name, ...)
  return (answer(newservice("", name, ...)))
end

local function local_only(name, ...)
  if name == true then return ... end
  return name, ...
end

-- Starts a service that is there once; all who ask get the same.
function skynet.uniqueservice(...)
  return (answer(newservice("unique", local_only(...))))
end

-- Waits for a unique service that somebody else starts.
function skynet.queryservice(...)
  return (answer(newservice("query", local_only(...))))
end

-- Tokens of those who sleep or wait, and the numbers that the core knows them by.
local sleeping = {}
local last = 0

local function sleep_on(token)
  if token == nil then token = coroutine.running() end
  if sleeping[token] then error("the token is used by another wait", 3) end
  last = last + 1
  sleeping[token] = last
  return token, last
end

-- Lets cs/100 s pass; "BREAK" if skynet.wakeup ended it early.
function skynet.sleep(cs, token)
  local id
  token, id = sleep_on(token)
  local result = core.sleep(cs, id)
  if sleeping[token] == id then sleeping[token] = nil end
  return result
end

function skynet.yield()
  return skynet.sleep(0)
end

-- Waits until skynet.wakeup names the token; without one, the coroutine.
function skynet.wait(token)
  local id
  token, id = sleep_on(token)
  core.wait(id)
  if sleeping[token] == id then sleeping[token] = nil end
end

function skynet.wakeup(token)
  local id = sleeping[token]
  if not id then return false end
  sleeping[token] = nil
  core.wakeup(id)
  return true
end

return skynet
