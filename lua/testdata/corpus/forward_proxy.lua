-- A proxy in Skynet's style: forward_type makes its lua messages raw, so that it passes on what it can't read.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, real = ...

if mode == "real" then
  skynet.start(function()
    local posts = 0
    tools.serve {
      add = function(a, b) return a + b end,
      whoami = function() return select(2, skynet.context()) end,
      post = function() posts = posts + 1 end,
      posts = function() return posts end,
      fail = function() error({ code = "behind the proxy" }) end,
      slow = function(cs, ...) skynet.sleep(cs) return ... end,
    }
  end)
  return
elseif mode == "proxy" then
  skynet.register_protocol {
    name = "system", id = skynet.PTYPE_SYSTEM,
    unpack = function(...) return ... end,
  }
  skynet.forward_type({ [skynet.PTYPE_LUA] = skynet.PTYPE_SYSTEM }, function()
    skynet.dispatch("system", function(session, source, msg, sz)
      if session == 0 then
        skynet.redirect(real, source, "lua", 0, msg, sz)
      else
        skynet.ret(skynet.rawcall(real, "lua", msg, sz))
      end
    end)
  end)
  return
end

skynet.start(function()
  real = skynet.newservice(SERVICE_NAME, "real")
  local proxy = skynet.newservice(SERVICE_NAME, "proxy", real)
  local second = skynet.newservice(SERVICE_NAME, "proxy", proxy)

  for _, address in ipairs { proxy, second } do
    assert(skynet.call(address, "lua", "add", 40, 2) == 42)
    assert(skynet.call(address, "lua", "whoami") == (address == proxy and proxy or proxy), "who calls is the proxy")
    local err = tools.fails("", skynet.call, address, "lua", "fail")
    assert(err.code == "behind the proxy")
  end
  for _ = 1, 4 do skynet.send(second, "lua", "post") end
  tools.eventually(function() return skynet.call(proxy, "lua", "posts") == 4 end)

  -- Many at once, which overtake each other.
  local got = {}
  for i = 1, 10 do
    skynet.fork(function()
      local n = skynet.call(second, "lua", "slow", 11 - i, i, nil)
      got[#got + 1] = n
    end)
  end
  tools.eventually(function() return #got == 10 end)
  for i = 1, 10 do assert(got[i] == 11 - i) end

  skynet.kill(real)
  tools.fails("", skynet.call, second, "lua", "add", 1, 1)
  print "ok"
end)
