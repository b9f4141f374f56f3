-- skynet.service: functions as services, as libraries use them to have a place of their own.
local skynet = require "skynet"
local service = require "skynet.service"
local tools = require "lib.tools"

-- A counter that all who use this library share.
local function counter_service(first)
  local skynet = require "skynet"
  local n = first

  local command = {}

  function command.add(by)
    n = n + by
    return n
  end

  function command.get() return n end

  skynet.start(function()
    skynet.dispatch("lua", function(_, _, name, ...)
      skynet.ret(skynet.pack(command[name](...)))
    end)
  end)
end

local mode = ...

if mode == "user" then
  skynet.start(function()
    local counter = service.new("corpus.counter", counter_service, 1000)
    assert(service.query("corpus.counter") == counter)
    skynet.call(counter, "lua", "add", 1)
    skynet.exit()
  end)
  return
end

skynet.start(function()
  local queried
  skynet.fork(function() queried = service.query("corpus.counter") end)
  skynet.sleep(1)
  assert(queried == nil, "it waits for somebody to make it")

  local counter = service.new("corpus.counter", counter_service, 10)
  tools.eventually(function() return queried end)
  assert(queried == counter)
  for _ = 1, 5 do skynet.newservice(SERVICE_NAME, "user") end
  assert(skynet.call(counter, "lua", "get") == 15, "there is one, with the first arguments")

  -- Another name is another service of the same function.
  local other = service.new("corpus.other", counter_service, 0)
  assert(other ~= counter and skynet.call(other, "lua", "add", 7) == 7 and skynet.call(counter, "lua", "get") == 15)

  assert(service.close("corpus.other") == true)
  assert(service.close("corpus.other") == false)
  tools.eventually(function() return not pcall(skynet.call, other, "lua", "get") end)
  assert(skynet.call(service.new("corpus.other", counter_service, 3), "lua", "get") == 3)

  -- A function that uses the file's variables has none of them over there: that is refused.
  local secret = 5
  tools.fails("service.new", service.new, "corpus.leaky", function() return tostring(secret) end)
  print "ok"
end)
