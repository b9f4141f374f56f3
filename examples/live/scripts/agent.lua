-- One member: what a page may ask for. What is asked of a room goes on to the service of all rooms, rooms/live.lua, with who asks.
local skynet = require "skynet"
local check = require "check"

local M = { client = {} }
local client = M.client

-- Chat: one message a second, and a few in a row after a silence.
local chat_length, chat_burst, chat_pause = 200, 5, 100

function M.start(self, player)
  self.me = { id = player.uid, name = player.name }
  self.live = skynet.uniqueservice("live")
  self.talk = chat_burst
  self.talked = skynet.now()
end

function M.disconnect(self, session)
  skynet.send(self.live, "lua", "leave", session)
end

-- The rooms that there are; from now on the client is told when that changes.
function client.lobby(self, _, session)
  return { rooms = skynet.call(self.live, "lua", "lobby", session) }
end

function client.open(self, request)
  local title, err = check.text(request, "title", 60)
  if not title then return nil, err end
  return skynet.call(self.live, "lua", "open", title, self.me)
end

function client.enter(self, request, session)
  local name, err = check.room(request)
  if not name then return nil, err end
  return skynet.call(self.live, "lua", "enter", name, self.me, session)
end

function client.leave(self, _, session)
  skynet.call(self.live, "lua", "leave", session)
  return {}
end

-- The query of a URL by which this member may publish or watch: for itself, for this room, and for a minute.
function client.ticket(self, request, session)
  local action, err = check.one_of(request, "action", "publish", "play")
  if not action then return nil, err end
  return skynet.call(self.live, "lua", "ticket", session, action)
end

function client.chat(self, request, session)
  local text, err = check.text(request, "text", chat_length)
  if not text then return nil, err end
  local now = skynet.now()
  self.talk = math.min(chat_burst, self.talk + (now - self.talked) / chat_pause)
  self.talked = now
  if self.talk < 1 then
    return nil, { code = "too_fast", msg = "One message a second, please." }
  end
  self.talk = self.talk - 1
  return skynet.call(self.live, "lua", "say", session, text)
end

-- What only the host of a room may do.

function client.mute(self, request, session)
  local whom, err = check.who(request)
  if not whom then return nil, err end
  return skynet.call(self.live, "lua", "mute", session, whom, request.on == true)
end

function client.kick(self, request, session)
  local whom, err = check.who(request)
  if not whom then return nil, err end
  return skynet.call(self.live, "lua", "kick", session, whom)
end

function client.record(self, request, session)
  local on = type(request) == "table" and request.on == true
  return skynet.call(self.live, "lua", "record", session, on)
end

return M
