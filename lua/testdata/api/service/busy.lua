local skynet = require "skynet"

local init

skynet.info_func(function(...) return { "info", ... } end)

local command = {}

function command.loop() while true do end end
function command.endless() return skynet.endless() end
function command.init() return init end

skynet.start(function()
  skynet.fork(function() init = skynet.task("init") end)
  skynet.dispatch("lua", function(_, _, name) skynet.retpack(command[name]()) end)
  skynet.sleep(1)
end)
