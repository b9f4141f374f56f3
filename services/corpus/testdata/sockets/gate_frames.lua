-- Frames of two bytes of length, as Skynet's gate has them: a gate accepts and hands connections to agents, which read and answer by themselves.
local skynet = require "skynet"
local socket = require "skynet.socket"
local tools = require "lib.tools"

local mode, argument = ...

local function frame(text)
  return string.char(math.floor(#text / 256), #text % 256) .. text
end

local function read_frame(id)
  local head = socket.read(id, 2)
  if not head then return nil end
  local a, b = string.byte(head, 1, 2)
  return socket.read(id, a * 256 + b)
end

if mode == "agent" then
  skynet.start(function()
    local gold = 0
    local function serve(id)
      socket.start(id)
      while true do
        local text = read_frame(id)
        if not text then break end
        local n = tonumber(string.match(text, "^mine (%d+)$"))
        if n then gold = gold + n end
        socket.write(id, frame(n and "gold " .. gold or "echo " .. text))
      end
      socket.close(id)
      skynet.send(argument, "lua", "gone", skynet.self(), gold)
      skynet.exit()
    end
    tools.serve { connection = function(id) skynet.fork(serve, id) end }
  end)
  return
elseif mode == "gate" then
  skynet.start(function()
    local me, gone = skynet.self(), {}
    local listener, _, port = socket.listen("127.0.0.1", 0)
    socket.start(listener, function(id)
      skynet.fork(function()
        local agent = skynet.newservice(SERVICE_NAME, "agent", me)
        skynet.call(agent, "lua", "connection", id)
      end)
    end)
    tools.serve {
      port = function() return port end,
      gone = function(_, gold) gone[#gone + 1] = gold end,
      ended = function() return gone end,
    }
  end)
  return
end

skynet.start(function()
  local gate = skynet.newservice(SERVICE_NAME, "gate")
  local port = skynet.call(gate, "lua", "port")
  local ids = {}
  for i = 1, 5 do ids[i] = assert(socket.open("127.0.0.1", port)) end
  for i, id in ipairs(ids) do
    socket.write(id, frame("mine " .. i) .. frame("mine " .. i) .. frame(string.rep("x", 3000)))
  end
  for i, id in ipairs(ids) do
    assert(read_frame(id) == "gold " .. i)
    assert(read_frame(id) == "gold " .. 2 * i)
    assert(read_frame(id) == "echo " .. string.rep("x", 3000))
  end
  -- A frame in single bytes.
  for c in string.gmatch(frame "mine 100", ".") do
    socket.write(ids[1], c)
    if c == "m" then skynet.sleep(1) end
  end
  assert(read_frame(ids[1]) == "gold 102")
  for _, id in ipairs(ids) do socket.close(id) end
  local gone = tools.eventually(function()
    local list = skynet.call(gate, "lua", "ended")
    return #list == 5 and list
  end)
  table.sort(gone)
  assert(tools.equal(gone, { 4, 6, 8, 10, 102 }))
  print "ok"
end)
