local skynet = require "skynet"

local back = ...

local command = {}

function command.begin()
  skynet.trace("because")
  skynet.sleep(0)
  return skynet.tracetag(), skynet.call(back, "lua", "tag")
end

function command.always()
  skynet.traceproto("probe", true)
  return type(skynet.call(skynet.self(), "probe"))
end

function command.never()
  skynet.traceproto("probe", false)
  return skynet.call(skynet.self(), "probe")
end

skynet.register_protocol { name = "probe", id = 99, pack = skynet.pack, unpack = skynet.unpack }

skynet.start(function()
  skynet.dispatch("lua", function(_, _, name) skynet.retpack(command[name]()) end)
  skynet.dispatch("probe", function() skynet.retpack(skynet.tracetag()) end)
end)
