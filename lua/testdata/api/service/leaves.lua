local skynet = require "skynet"

local back = ...

skynet.start(function()
  skynet.fork(function() pcall(skynet.call, back, "lua", "hang") print("this must not run") end)
  skynet.timeout(1, function() print("this must not run") end)
  skynet.dispatch("lua", function()
    skynet.fork(function() print("this must not run") end)
    skynet.exit()
    print("this must not run")
  end)
end)
