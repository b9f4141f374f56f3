-- Coroutines that share a connection take turns by socket.lock: what one asks is answered before the next one asks.
local skynet = require "skynet"
local socket = require "skynet.socket"

skynet.start(function()
  local id, host, port = socket.listen("127.0.0.1", 0, 16)
  socket.start(id, function(new)
    socket.start(new)
    while true do
      local line = socket.readline(new)
      if not line then return socket.close(new) end
      socket.write(new, line:upper() .. "\n")
    end
  end)

  local client = assert(socket.open(host, port))
  local answers = {}
  for _, word in ipairs { "one", "two", "three" } do
    skynet.fork(function()
      socket.lock(client)
      socket.write(client, word .. "\n")
      skynet.sleep(1)
      answers[#answers + 1] = word .. "=" .. socket.readline(client)
      socket.unlock(client)
    end)
  end
  for _ = 1, 500 do
    if #answers == 3 then break end
    skynet.sleep(1)
  end
  assert(table.concat(answers, " ") == "one=ONE two=TWO three=THREE")
  socket.lock(client) -- nobody has it any more
  socket.unlock(client)
  assert(not pcall(socket.unlock, client))
  assert(not pcall(socket.lock, 999999))
  socket.close(client)
  socket.close(id)
  print "ok"
end)
