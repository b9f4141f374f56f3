-- Services that do not come to be: each way to fail is told to whoever starts them, and leaves nothing behind.
-- expect: start failed
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, arg = ...

if mode == "text" then
  error("the text fails")
elseif mode == "raises" then
  skynet.start(function() error({ code = "no_config", key = arg }) end)
  return
elseif mode == "later" then
  skynet.start(function()
    skynet.register(".half_made")
    skynet.sleep(20)
    error("after a while")
  end)
  return
elseif mode == "init" then
  skynet.init(function() error("in init") end)
  skynet.start(function() error("not reached") end)
  return
elseif mode == "nested" then
  skynet.start(function() skynet.newservice(SERVICE_NAME, "text") end)
  return
elseif mode == "flaky" then
  skynet.start(function()
    local n = skynet.call(arg, "lua", "attempt")
    if n < 3 then error("attempt " .. n) end
    skynet.dispatch("lua", function() skynet.retpack(n) end)
  end)
  return
end

skynet.start(function()
  tools.fails("the text fails", skynet.newservice, SERVICE_NAME, "text")
  local err = tools.fails("", skynet.newservice, SERVICE_NAME, "raises", "db.host")
  assert(err.code == "no_config" and err.key == "db.host")
  tools.fails("after a while", skynet.newservice, SERVICE_NAME, "later")
  skynet.sleep(1)
  assert(skynet.localname(".half_made") == nil, "its name has gone with it")
  tools.fails("in init", skynet.newservice, SERVICE_NAME, "init")
  tools.fails("the text fails", skynet.newservice, SERVICE_NAME, "nested")
  tools.fails("service/unfinished.lua", skynet.newservice, "service/unfinished")
  tools.fails("service/lazy", skynet.newservice, "service/lazy")
  tools.fails("service/nowhere", skynet.newservice, "service/nowhere")

  -- A unique service that fails is tried anew by the next who asks.
  local attempts = 0
  skynet.dispatch("lua", function(_, _, command)
    assert(command == "attempt")
    attempts = attempts + 1
    skynet.retpack(attempts)
  end)
  tools.fails("attempt 1", skynet.uniqueservice, SERVICE_NAME, "flaky", skynet.self())
  tools.fails("attempt 2", skynet.uniqueservice, SERVICE_NAME, "flaky", skynet.self())
  local a = skynet.uniqueservice(SERVICE_NAME, "flaky", skynet.self())
  assert(skynet.call(a, "lua") == 3)
  assert(skynet.uniqueservice(SERVICE_NAME, "flaky", skynet.self()) == a and attempts == 3)
  print "ok"
end)
