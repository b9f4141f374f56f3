-- What main scripts of Skynet's projects start and require: consoles, names of its network of nodes; and what is not there says why.
local skynet = require "skynet"
local harbor = require "skynet.harbor"
local tools = require "lib.tools"

skynet.start(function()
  if not skynet.getenv "daemon" then
    assert(skynet.newservice "console")
  end
  assert(skynet.newservice("debug_console", 8000))
  assert(skynet.newservice("debug_console", "127.0.0.1", 8000))

  local found
  skynet.fork(function() found = harbor.queryname "RANKS" end)
  skynet.sleep(20)
  assert(found == nil and harbor.queryname ".ranks" == nil)
  harbor.globalname "RANKS"
  skynet.sleep(20)
  assert(found == skynet.self() and skynet.localname "RANKS" == found)
  harbor.globalname("ranks", found)
  assert(harbor.queryname ".ranks" == found)
  harbor.link(2)
  tools.fails("nodes have no numbers here", harbor.connect, 2)
  tools.fails("nodes have no numbers here", harbor.linkmaster)

  for name, why in pairs {
    ["http.httpc"] = "HTTP and WebSocket for scripts are not there yet", sprotoloader = "sproto is not there yet", ["skynet.db.redis"] = "the driver of Redis is not there yet",
    ["skynet.db.mysql"] = "the driver of MySQL is not there yet", ["snax.loginserver"] = "are not there yet", ["skynet.dns"] = "socket.resolve",
    ["skynet.mqueue"] = "skynet.queue", lpeg = "a module in C",
  } do
    tools.fails(('no script "%s": '):format(name), require, name)
    tools.fails(why, require, name)
  end
  tools.fails("clients come in through the node's own gate", skynet.newservice, "gate")
  tools.fails("neither nothing.lua nor nothing/init.lua is there", require, "nothing")
  print "ok"
end)
