-- Answers, fails, or answers later.
local skynet = require "skynet"
skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...)
    if cmd == "fail" then error({ code = "no" }) end
    if cmd == "later" then return skynet.response()(true, ...) end
    skynet.ret(skynet.pack(...))
  end)
end)
