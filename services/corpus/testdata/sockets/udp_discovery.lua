-- UDP: a server that answers who asks where it is, and clients that wait for the first answer.
local skynet = require "skynet"
local socket = require "skynet.socket"
local tools = require "lib.tools"

skynet.start(function()
  local asked = 0
  local server
  server = socket.udp(function(text, from)
    asked = asked + 1
    local name, number = string.match(text, "^where is (%a+)%?(%d+)$")
    if name == "lobby" then socket.sendto(server, from, "here!" .. number) end
  end, "127.0.0.1", 0)
  local port
  for _, s in ipairs(socket.netstat()) do
    if s.id == server then port = tonumber(string.match(s.sock, ":(%d+)$")) end
  end
  assert(port, "netstat tells the address")

  local answers = {}
  local client = socket.udp(function(text, from)
    local host, number = socket.udp_address(from)
    assert(host == "127.0.0.1" and number == port)
    answers[#answers + 1] = text
  end)
  socket.udp_connect(client, "127.0.0.1", port)
  -- Packets may be lost anywhere: it asks until it is answered.
  local n = 0
  tools.eventually(function()
    n = n + 1
    socket.write(client, "where is lobby?" .. n)
    skynet.sleep(1)
    return #answers >= 3
  end)
  assert(string.match(answers[1], "^here!%d+$") and asked >= 3)
  local before = #answers
  socket.write(client, "where is nobody?1")
  tools.eventually(function() return asked > before end)
  socket.close(client)
  socket.close(server)
  print "ok"
end)
