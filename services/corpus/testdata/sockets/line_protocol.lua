-- A telnet-like game server: lines, a login before anything else, a limit, who, say, quit.
local skynet = require "skynet"
local socket = require "skynet.socket"
local tools = require "lib.tools"

local mode = ...

if mode == "server" then
  skynet.start(function()
    local players = {}
    local function tell(id, text) socket.write(id, text .. "\r\n") end
    local function handle(id)
      socket.start(id)
      tell(id, "name?")
      local name = socket.readline(id, "\r\n")
      if name and players[name] then
        tell(id, "taken")
        name = nil
      end
      if name then
        players[name] = id
        tell(id, "hello " .. name)
        while true do
          local line = socket.readline(id, "\r\n")
          if not line or line == "quit" then break end
          local command, rest = string.match(line, "^(%a+)%s*(.*)$")
          if command == "who" then
            local names = {}
            for n in pairs(players) do names[#names + 1] = n end
            table.sort(names)
            tell(id, table.concat(names, " "))
          elseif command == "say" then
            for _, other in pairs(players) do tell(other, name .. ": " .. rest) end
          else
            tell(id, "what?")
          end
        end
        players[name] = nil
      end
      socket.close(id)
    end
    local listener, _, port = socket.listen("127.0.0.1", 0)
    socket.start(listener, function(id) skynet.fork(handle, id) end)
    tools.serve { port = function() return port end }
  end)
  return
end

skynet.start(function()
  local port = skynet.call(skynet.newservice(SERVICE_NAME, "server"), "lua", "port")
  local function connect(name)
    local id = assert(socket.open("127.0.0.1", port))
    assert(socket.readline(id, "\r\n") == "name?")
    socket.write(id, name .. "\r\n")
    return id, socket.readline(id, "\r\n")
  end
  local ann, text = connect "ann"
  assert(text == "hello ann")
  local bob = connect "bob"
  local again, why = connect "ann"
  assert(why == "taken" and socket.readline(again, "\r\n") == false)
  socket.close(again)

  -- Several lines in one packet, and one line in several.
  socket.write(ann, "who\r\nsay hi\r\ndance\r\n")
  assert(socket.readline(ann, "\r\n") == "ann bob")
  assert(socket.readline(ann, "\r\n") == "ann: hi")
  assert(socket.readline(ann, "\r\n") == "what?")
  assert(socket.readline(bob, "\r\n") == "ann: hi")
  for _, part in ipairs { "sa", "y lo", "ng\r", "\nw", "ho\r\n" } do
    socket.write(bob, part)
    skynet.sleep(1)
  end
  assert(socket.readline(bob, "\r\n") == "bob: long")
  assert(socket.readline(bob, "\r\n") == "ann bob")
  assert(socket.readline(ann, "\r\n") == "bob: long")

  socket.write(bob, "quit\r\n")
  assert(socket.readline(bob, "\r\n") == false)
  socket.close(bob)
  tools.eventually(function()
    socket.write(ann, "who\r\n")
    return socket.readline(ann, "\r\n") == "ann"
  end)
  socket.close(ann)
  print "ok"
end)
