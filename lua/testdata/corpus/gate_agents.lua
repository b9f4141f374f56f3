-- The triad of watchdog, gate and agent: the gate passes what clients send on to their agents in the client's name, and the agents answer past it.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode, watchdog = ...

-- A client's packet is text: "command argument".
local client = {
  name = "client", id = skynet.PTYPE_CLIENT,
  pack = function(text) return text end,
  unpack = function(msg, sz) return string.match(skynet.tostring(msg, sz), "^(%S+)%s*(.*)$") end,
}

if mode == "gate" then
  skynet.register_protocol(client)
  skynet.start(function()
    local agents = {}
    tools.serve {
      forward = function(fd, agent) agents[fd] = agent end,
      kick = function(fd) agents[fd] = nil end,
      -- What a socket would do: a packet of a connection.
      packet = function(fd, text)
        if agents[fd] then
          skynet.redirect(agents[fd], skynet.self(), "client", fd, text)
        else
          skynet.send(watchdog, "lua", "data", fd, text)
        end
      end,
    }
  end)
  return
elseif mode == "agent" then
  skynet.register_protocol(client)
  skynet.start(function()
    local name, fd, gold = nil, nil, 0
    local request = {}
    function request.mine(n)
      skynet.sleep(1)
      gold = gold + tonumber(n)
      return gold
    end
    function request.bad() error({ code = "bad" }) end
    skynet.dispatch("client", function(session, source, command, argument)
      assert(session == fd, "the connection comes as the session")
      skynet.ignoreret()
      local ok, result = pcall(request[command], argument)
      skynet.send(watchdog, "lua", "to_client", session, command .. (ok and " ok " .. result or " failed"))
    end)
    tools.serve {
      start = function(connection, player) fd, name = connection, player end,
      disconnect = function()
        skynet.send(watchdog, "lua", "saved", name, gold)
        skynet.exit()
      end,
    }
  end)
  return
end

skynet.start(function()
  local me = skynet.self()
  local gate = skynet.newservice(SERVICE_NAME, "gate", me)
  local agents, sent, saved = {}, {}, {}
  tools.serve {
    data = function(fd, text)
      local player = string.match(text, "^login (%w+)$")
      if not player then
        sent[#sent + 1] = fd .. ": login first"
        return
      end
      local agent = skynet.newservice(SERVICE_NAME, "agent", me)
      agents[fd] = agent
      skynet.call(agent, "lua", "start", fd, player)
      skynet.call(gate, "lua", "forward", fd, agent)
      sent[#sent + 1] = fd .. ": welcome " .. player
    end,
    to_client = function(fd, text) sent[#sent + 1] = fd .. ": " .. text end,
    saved = function(player, gold) saved[player] = gold end,
  }
  local function packet(fd, text) skynet.call(gate, "lua", "packet", fd, text) end
  local function hears(text)
    tools.eventually(function()
      for i, line in ipairs(sent) do
        if line == text then return table.remove(sent, i) end
      end
    end)
  end

  packet(11, "mine 3")
  hears "11: login first"
  packet(11, "login ann")
  packet(12, "login bob")
  hears "11: welcome ann"
  hears "12: welcome bob"
  packet(11, "mine 3")
  packet(12, "mine 40")
  packet(11, "mine 4")
  packet(11, "bad")
  hears "11: mine ok 3"
  hears "11: mine ok 7"
  hears "12: mine ok 40"
  hears "11: bad failed"
  assert(#sent == 0)

  skynet.call(gate, "lua", "kick", 11)
  skynet.send(agents[11], "lua", "disconnect")
  tools.eventually(function() return saved.ann == 7 end)
  packet(11, "mine 1")
  hears "11: login first"
  packet(12, "mine 1")
  hears "12: mine ok 41"
  print "ok"
end)
