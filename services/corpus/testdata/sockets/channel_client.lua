-- socketchannel: a database's client that many coroutines use over one connection, in order and by session, which comes back after a loss.
local skynet = require "skynet"
local socket = require "skynet.socket"
local socketchannel = require "skynet.socketchannel"
local tools = require "lib.tools"

local mode = ...

if mode == "db" then
  skynet.start(function()
    local rows, connections = {}, {}
    local function handle(id)
      socket.start(id)
      connections[id] = true
      while true do
        local line = socket.readline(id)
        if not line then break end
        local session, command, key, value = string.match(line, "^(%d+) (%a+) (%w+) ?(.*)$")
        skynet.fork(function()
          -- By session, answers overtake each other.
          if session ~= "0" then skynet.sleep(tonumber(session) % 3) end
          if command == "set" then rows[key] = value end
          if command == "fail" then
            socket.write(id, session .. " error no " .. key .. "\n")
          else
            socket.write(id, session .. " ok " .. (rows[key] or "nothing") .. "\n")
          end
        end)
      end
      connections[id] = nil
      socket.close(id)
    end
    local listener, _, port = socket.listen("127.0.0.1", 0)
    socket.start(listener, function(id) skynet.fork(handle, id) end)
    tools.serve {
      port = function() return port end,
      drop = function()
        for id in pairs(connections) do socket.shutdown(id) end
      end,
    }
  end)
  return
end

local function parse(line)
  local session, state, text = string.match(line, "^(%d+) (%a+) (.*)$")
  return tonumber(session), state == "ok", text
end

skynet.start(function()
  local db = skynet.newservice(SERVICE_NAME, "db")
  local port = skynet.call(db, "lua", "port")

  local in_order = socketchannel.channel { host = "127.0.0.1", port = port }
  local function answer(sock)
    local _, ok, text = parse(sock:readline())
    return ok, text
  end
  assert(in_order:request("0 set color red\n", answer) == "red")
  assert(in_order:request("0 get color\n", answer) == "red")
  tools.fails("no way", in_order.request, in_order, "0 fail way\n", answer)
  assert(in_order:request("0 get nobody\n", answer) == "nothing")
  in_order:close()

  local by_session = socketchannel.channel {
    host = "127.0.0.1", port = port,
    response = function(sock) return parse(sock:readline()) end,
  }
  local done = 0
  for session = 1, 30 do
    skynet.fork(function()
      assert(by_session:request(session .. " set k" .. session .. " v" .. session .. "\n", session) == "v" .. session)
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 30 end)
  for session = 31, 40 do
    assert(by_session:request(session .. " get k" .. session - 30 .. "\n", session) == "v" .. session - 30)
  end

  -- The connection is lost; the next request makes a new one.
  skynet.call(db, "lua", "drop")
  local ok, text
  tools.eventually(function()
    ok, text = pcall(by_session.request, by_session, "50 get k7\n", 50)
    return ok
  end)
  assert(text == "v7")
  by_session:close()
  print "ok"
end)
