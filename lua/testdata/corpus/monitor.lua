-- skynet.monitor: a service that is told of each one that ends, whatever the way.
-- expect: start failed
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode = ...

if mode == "short" then
  skynet.start(function()
    tools.serve { exit = function() skynet.exit() end, hang = function() skynet.wait() end }
  end)
  return
elseif mode == "broken" then
  skynet.start(function() error("it does not start") end)
  return
end

skynet.start(function()
  local monitor = skynet.monitor "service/obituary"
  assert(skynet.monitor("service/obituary", true) == monitor)
  local a, b, c = skynet.newservice(SERVICE_NAME, "short"), skynet.newservice(SERVICE_NAME, "short"), skynet.newservice(SERVICE_NAME, "short")
  assert(#skynet.call(monitor, "lua", "dead") == 0)

  pcall(skynet.call, a, "lua", "exit")
  skynet.kill(b)
  skynet.fork(pcall, skynet.call, c, "lua", "hang")
  skynet.sleep(1)
  skynet.kill(c)
  pcall(skynet.newservice, SERVICE_NAME, "broken")
  local dead = tools.eventually(function()
    local list = skynet.call(monitor, "lua", "dead")
    return #list >= 4 and list
  end)
  local found = {}
  for _, address in ipairs(dead) do found[address] = true end
  assert(found[a] and found[b] and found[c] and #dead == 4)

  -- A link that is held by a call: it ends with the other side.
  local d = skynet.newservice(SERVICE_NAME, "short")
  local over
  skynet.fork(function() over = { pcall(skynet.call_timeout, 100000, d, "debug", "LINK") } end)
  skynet.sleep(10)
  assert(not over)
  skynet.kill(d)
  tools.eventually(function() return over end)
  assert(over[1] == false)
  print "ok"
end)
