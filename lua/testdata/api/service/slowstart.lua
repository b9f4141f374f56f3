local skynet = require "skynet"

local arguments, started = { ... }, false

skynet.start(function()
  skynet.dispatch("lua", function(_, _, what)
    if what == "globals" then
      skynet.retpack { SERVICE_NAME, SERVICE_PATH }
    elseif what == "arguments" then
      skynet.retpack(arguments)
    else
      skynet.retpack(started)
    end
  end)
  skynet.sleep(1)
  started = true
end)
