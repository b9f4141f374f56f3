-- All rooms of the node: who is in them, who may publish and watch, what is said, and what their hosts may do. The node asks the handlers on_... about media (docs/media.md), agents ask the others for
-- their members. Media itself never comes through here.
local skynet = require "skynet"
local gate = require "gate"
local media = require "skua.room"
local Room = require "room"

local M = {}

local MOST_ROOMS = 100
local TICKET = 60 -- seconds for which a URL may be used; who is in by then stays in
local EMPTY = 60 -- seconds after which a room without anybody is gone

function M.start(self)
  self.rooms = {} -- by name
  self.at = {} -- the room of each session
  self.lobby = gate.group()
end

local function refuse(code, msg) return nil, { code = code, msg = msg } end

-- The room that a session is in, and its member there.
local function place(self, session)
  local room = self.at[session]
  if room then return room, room.sessions[session] end
end

local outside = { code = "outside", msg = "You are in no room." }

-- The same, if that is the room's host.
local function hosted(self, session)
  local room, member = place(self, session)
  if not room then return nil, outside end
  if member.id ~= room.host then return refuse("not_host", "Only the host of the room may do that.") end
  return room
end

-- --- The lobby ----------------------------------------------------------------------------------------------------------------------------

local function list(self)
  local rooms = {}
  for _, room in pairs(self.rooms) do rooms[#rooms + 1] = room:card() end
  table.sort(rooms, function(a, b) return a.name < b.name end)
  return rooms
end

-- Tells who is in the lobby and in a room how they are now: at most five times a second, whatever happens.
local function changed(self, room)
  if room then room.changed = true end
  if self.telling then return end
  self.telling = true
  skynet.timeout(20, function()
    self.telling = nil
    self.lobby:push("lobby", { rooms = list(self) }, { class = "latest" })
    for _, one in pairs(self.rooms) do
      if one.changed then
        one.changed = nil
        one.group:push("room", one:view(), { class = "latest" })
      end
    end
  end)
end

function M.lobby(self, session)
  self.lobby:add(session)
  return list(self)
end

-- Ends a room that nobody has been in for a while.
local function expire(self, room)
  room.empty = (room.empty or 0) + 1
  local turn = room.empty
  skynet.timeout(EMPTY * 100, function()
    if room.empty ~= turn or next(room.sessions) or next(room.publishers) then return end
    self.rooms[room.name] = nil
    room.group:close()
    changed(self)
  end)
end

function M.open(self, title, me)
  local count = 0
  for _, room in pairs(self.rooms) do
    count = count + 1
    if room.host == me.id then return refuse("has_room", "You have a room already: “" .. room.title .. "”.") end
  end
  if count >= MOST_ROOMS then return refuse("full", "There are as many rooms as there may be. Join one, or try later.") end
  local name = "room-" .. me.id
  if not name:find("^[%w_-]+$") or #name > 64 then return refuse("bad_name", "Your id can't name a room.") end
  self.rooms[name] = Room.new(name, title, me)
  expire(self, self.rooms[name])
  changed(self)
  return { room = name }
end

-- --- Who is in a room ---------------------------------------------------------------------------------------------------------------------

function M.enter(self, name, me, session)
  local room = self.rooms[name]
  if not room then return refuse("no_room", "This room is no longer open.") end
  local reason = room:against(me.id)
  if reason then return refuse("refused", reason) end
  M.leave(self, session)
  self.lobby:remove(session)
  room:enter(session, me)
  self.at[session] = room
  changed(self, room)
  return { room = room:view(), lines = room.lines, me = me.id, host = me.id == room.host }
end

function M.leave(self, session)
  local room = self.at[session]
  self.at[session] = nil
  self.lobby:remove(session)
  if not room then return end
  room:leave(session)
  if not next(room.sessions) then expire(self, room) end
  changed(self, room)
end

function M.say(self, session, text)
  local room, member = place(self, session)
  if not room then return nil, outside end
  room:say(member, text)
  return {}
end

function M.ticket(self, session, action)
  local room, member = place(self, session)
  if not room then return nil, outside end
  return { room = room.name, query = media.sign(room.name, action, member.id, TICKET) }
end

-- --- What hosts may do --------------------------------------------------------------------------------------------------------------------

function M.mute(self, session, whom, on)
  local room, err = hosted(self, session)
  if not room then return nil, err end
  if not room.publishers[whom] then return refuse("silent", "They are not on air.") end
  room.muted[whom] = on or nil
  media.of(room.name):mute("audio", on, whom)
  changed(self, room)
  return {}
end

function M.kick(self, session, whom)
  local room, err = hosted(self, session)
  if not room then return nil, err end
  if whom == room.host then return refuse("host", "The host stays.") end
  local name = room:ban(whom)
  if not name then return refuse("gone", "They have left already.") end
  media.of(room.name):kick(whom, "the host has put you out")
  for _, gone in ipairs(room:sessions_of(whom)) do
    gate.push(gone, "out", { reason = "The host has put you out. You may come back in a minute." })
    M.leave(self, gone)
  end
  room:tell(name .. " was put out by the host.")
  changed(self, room)
  return {}
end

function M.record(self, session, on)
  local room, err = hosted(self, session)
  if not room then return nil, err end
  local of = media.of(room.name)
  if not on then
    of:record_stop()
  elseif not next(room.publishers) then
    return refuse("off_air", "Nobody is on air: there is nothing to record.")
  else
    local ok, started = pcall(of.record_start, of, { format = "mp4" })
    if not ok or not started then
      skynet.error(("room %s: record: %s"):format(room.name, tostring(started)))
      return refuse("no_record", "This can't be recorded now; the node's log says why.")
    end
  end
  room.recording = on
  room:tell(on and "The host records the room." or "The recording has ended.")
  changed(self, room)
  return {}
end

-- --- What the node asks and tells ---------------------------------------------------------------------------------------------------------

-- What of the room's media is on air is looked up rather than counted: members come and go while this service is told.
local function look(self, name)
  local room = self.rooms[name]
  if not room then return end
  room:on_air(media.of(name):info())
  if not next(room.publishers) and not next(room.sessions) then expire(self, room) end
  changed(self, room)
end

-- Somebody who is let in is there a moment later.
local function look_soon(self, name)
  for _, later in ipairs { 30, 150 } do
    skynet.timeout(later, function() look(self, name) end)
  end
end

-- `who` is whom the ticket was signed for. What is refused is read by people: on the page, or in OBS.
function M.on_publish(self, name, who)
  local room = self.rooms[name]
  if not room then return false, "This room is no longer open." end
  local reason = room:against(who) or room:against_publisher(who)
  if reason then return false, reason end
  look_soon(self, name)
  return true
end

function M.on_join(self, name, who)
  local room = self.rooms[name]
  if not room then return false, "This room is no longer open." end
  local reason = room:against(who)
  if reason then return false, reason end
  look_soon(self, name)
  return true
end

function M.on_leave(self, name) look(self, name) end

function M.on_stats(self, name) look(self, name) end

function M.on_speaking(self, name, speakers)
  local room = self.rooms[name]
  if not room then return end
  room.speaking = {}
  for i, one in ipairs(speakers) do room.speaking[i] = one.who end
  changed(self, room)
end

function M.on_record(self, name, file)
  local room = self.rooms[name]
  if not room then return end
  if file.name then room:tell(("Recorded: %s, %.0f s."):format(file.name, file.seconds)) end
  if file.failed then room:tell("The recording has failed: " .. tostring(file.reason)) end
  look(self, name)
end

return M
