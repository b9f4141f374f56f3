-- skynet.debug: what a service answers the console (messages of type debug).
local skynet = require "skynet"
local core = require "skynet.core"

local M = {}

local info

-- Has the console's command `info` answered by f.
function M.info_func(f)
  if f ~= nil and type(f) ~= "function" then error("skynet.info_func: a function is expected, got " .. type(f), 2) end
  info = f
end

local commands = {}

-- The memory of the service's VM in KB.
function commands.MEM() skynet.retpack(core.memory() / 1024) end

function commands.GC() skynet.retpack(core.memory() / 1024) end

function commands.STAT()
  skynet.retpack {
    task = skynet.task(), mqlen = skynet.stat "mqlen", cpu = skynet.stat "cpu", message = skynet.stat "message",
  }
end

function commands.KILLTASK(thread)
  local co = skynet.killthread(thread)
  skynet.retpack(co and tostring(co) .. " is killed" or "no such task")
end

function commands.TASK(session)
  if session then
    skynet.retpack(skynet.task(session))
  else
    local tasks = {}
    skynet.task(tasks)
    skynet.retpack(tasks)
  end
end

function commands.UNIQTASK() skynet.retpack(skynet.uniqtask()) end

function commands.INFO(...)
  if info then
    skynet.retpack(info(...))
  else
    skynet.retpack(nil)
  end
end

function commands.EXIT() skynet.exit() end

function commands.TERM(service) skynet.term(service) end

function commands.PING() skynet.ret() end

-- Whether the service has a handler for messages of a type.
function commands.SUPPORT(typename) skynet.retpack(skynet.dispatch(typename) ~= nil) end

function commands.TRACELOG(typename, on)
  skynet.traceproto(typename, on)
  skynet.ret()
end

-- Answers when the service has ended: with an error.
function commands.LINK() skynet.response() end

-- Runs a text in the service: see skynet.inject.
function commands.RUN(source, name, ...) skynet.retpack(require "skynet.inject"(source, name, ...)) end

-- Adds a command.
function M.reg_debugcmd(name, f) commands[name] = f end

function M.dispatch(_, _, command, ...)
  local f = commands[command]
  if not f then error("no command " .. tostring(command) .. " of the debug protocol", 0) end
  f(...)
end

return M
