-- An echo server and its clients: a coroutine for each connection, many at once, bytes of all kinds and sizes, ends from both sides.
-- may: much waits to be written
local skynet = require "skynet"
local socket = require "skynet.socket"
local tools = require "lib.tools"

local mode, port = ...

if mode == "server" then
  skynet.start(function()
    local open, served = 0, 0
    local function serve(id)
      socket.start(id)
      open, served = open + 1, served + 1
      while true do
        local text = socket.read(id)
        if not text then break end
        socket.write(id, text)
        if string.find(text, "bye", 1, true) then break end
      end
      socket.close(id)
      open = open - 1
    end
    local listener, host, number = socket.listen("127.0.0.1", 0)
    assert(host == "127.0.0.1")
    socket.start(listener, function(id, address)
      assert(string.find(address, "^127%.0%.0%.1:%d+$"))
      skynet.fork(serve, id)
    end)
    tools.serve {
      port = function() return number end,
      open = function() return open, served end,
      stop = function() socket.close(listener) end,
    }
  end)
  return
elseif mode == "client" then
  skynet.start(function()
    tools.serve {
      chat = function(name, rounds)
        local id = assert(socket.open("127.0.0.1", port))
        for i = 1, rounds do
          local text = name .. i .. string.rep("\0\255", i * 10)
          assert(socket.write(id, text))
          assert(socket.read(id, #text) == text)
        end
        socket.close(id)
        return true
      end,
    }
  end)
  return
end

skynet.start(function()
  local server = skynet.newservice(SERVICE_NAME, "server")
  port = skynet.call(server, "lua", "port")

  local done = 0
  for i = 1, 4 do
    local client = skynet.newservice(SERVICE_NAME, "client", port)
    for j = 1, 3 do
      skynet.fork(function()
        assert(skynet.call(client, "lua", "chat", "c" .. i .. j, 10))
        done = done + 1
      end)
    end
  end
  tools.eventually(function() return done == 12 end)
  tools.eventually(function() return skynet.call(server, "lua", "open") == 0 end)
  assert(select(2, skynet.call(server, "lua", "open")) == 12)

  -- The server ends the talk.
  local id = assert(socket.open("127.0.0.1:" .. port))
  socket.write(id, "bye")
  assert(socket.read(id, 3) == "bye")
  local text, rest = socket.read(id)
  assert(text == false and (rest == "" or rest == nil), tostring(rest))
  socket.close(id)

  -- A megabyte, written in pieces and as a list.
  id = assert(socket.open("127.0.0.1", port))
  local piece = string.rep("0123456789abcdef", 4096)
  skynet.fork(function()
    for _ = 1, 8 do socket.write(id, piece) end
    socket.write(id, { piece, piece, piece, piece, piece, piece, piece, piece })
  end)
  local got = 0
  for _ = 1, 16 do
    assert(socket.read(id, #piece) == piece)
    got = got + #piece
  end
  assert(got == 1048576)
  socket.close(id)

  skynet.call(server, "lua", "stop")
  tools.eventually(function()
    local again = socket.open("127.0.0.1", port)
    if again then socket.close(again) end
    return not again
  end)
  print "ok"
end)
