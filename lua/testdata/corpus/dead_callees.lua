-- Services that go away under those who talk to them.
-- expect: dead letter
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, next_one = ...

if mode == "link" then
  skynet.start(function()
    tools.serve {
      hang = function() skynet.wait() end,
      through = function() return skynet.call(next_one, "lua", "hang") end,
      ping = function() return "pong" end,
      caught = function()
        local ok, err = pcall(skynet.call, next_one, "lua", "ping")
        return ok, not ok and err.code or err
      end,
    }
  end)
  return
end

skynet.start(function()
  local c = skynet.newservice(SERVICE_NAME, "link")
  local b = skynet.newservice(SERVICE_NAME, "link", c)
  local a = skynet.newservice(SERVICE_NAME, "link", b)

  -- One that hangs is killed: all who wait hear of it at once, not at their deadline.
  local began, heard = skynet.now(), 0
  for _ = 1, 5 do
    skynet.fork(function()
      local err = tools.fails("", skynet.call, c, "lua", "hang")
      assert(err.code == "stopped")
      heard = heard + 1
    end)
  end
  skynet.sleep(10)
  assert(heard == 0 and skynet.call(c, "lua", "ping") == "pong")
  skynet.kill(c)
  tools.eventually(function() return heard == 5 end)
  assert(skynet.now() - began < 50)

  -- From then on it is not there.
  local err = tools.fails("", skynet.call, c, "lua", "ping")
  assert(err.code == "no_actor", err.code)
  skynet.send(c, "lua", "ping") -- nobody hears that, and it is no error
  local ok, code = skynet.call(b, "lua", "caught")
  assert(ok == false and code == "no_actor")

  -- The middle one goes while somebody waits through it.
  local through
  skynet.fork(function() through = tools.fails("", skynet.call, a, "lua", "through") end)
  skynet.sleep(1)
  skynet.kill(b)
  tools.eventually(function() return through end)
  assert(skynet.call(a, "lua", "ping") == "pong", "who has called it lives on")
  assert(select(2, skynet.call(a, "lua", "caught")) == "no_actor")

  -- An address that nobody ever had, and names.
  tools.fails("", skynet.call, 0x7ffffff, "lua", "ping")
  tools.fails("nobody", skynet.call, ".nobody", "lua", "ping")
  print "ok"
end)
