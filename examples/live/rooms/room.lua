-- One room: who is in, who is on air, what was said.
local skynet = require "skynet"
local gate = require "gate"

local Room = {}
Room.__index = Room

local MOST_MEMBERS = 200
local MOST_PUBLISHERS = 8
local LINES = 30 -- of the chat, for who comes later
local BAN = 60 -- seconds

function Room.new(name, title, host)
  return setmetatable({
    name = name, title = title, host = host.id, host_name = host.name,
    group = gate.group(), sessions = {}, lines = {}, names = {},
    publishers = {}, muted = {}, speaking = {}, banned = {}, viewers = 0, recording = false,
  }, Room)
end

-- Why somebody may not be in the room, in words for them; nil if they may.
function Room:against(id)
  local till = self.banned[id]
  if till and skynet.time() < till then
    return ("The host has put you out. You may come back in %d s."):format(math.ceil(till - skynet.time()))
  end
  self.banned[id] = nil
  local members = 0
  for _, member in pairs(self.sessions) do
    if member.id == id then return end -- is in already
    members = members + 1
  end
  if members >= MOST_MEMBERS and id ~= self.host then return ("The room is full: %d are in."):format(members) end
end

function Room:against_publisher(id)
  if self.publishers[id] then return end
  local count = 0
  for _ in pairs(self.publishers) do count = count + 1 end
  if count >= MOST_PUBLISHERS then return ("%d are on air, which is as many as there may be."):format(count) end
end

function Room:enter(session, member)
  if #self:sessions_of(member.id) == 0 then self:tell(member.name .. " has come in.") end
  self.sessions[session] = member
  self.names[member.id] = member.name
  self.group:add(session)
end

function Room:leave(session)
  local member = self.sessions[session]
  self.sessions[session] = nil
  self.group:remove(session)
  if not member or #self:sessions_of(member.id) > 0 then return end
  self:tell(member.name .. " has left.")
  self:forget(member.id)
end

-- Names are kept of who is in or on air.
function Room:forget(id)
  if not self.publishers[id] and #self:sessions_of(id) == 0 then self.names[id] = nil end
end

function Room:sessions_of(id)
  local all = {}
  for session, member in pairs(self.sessions) do
    if member.id == id then all[#all + 1] = session end
  end
  return all
end

-- Keeps somebody out for a while. Gives their name, or nil if they are not here.
function Room:ban(id)
  if #self:sessions_of(id) == 0 and not self.publishers[id] then return end
  for other, till in pairs(self.banned) do
    if till < skynet.time() then self.banned[other] = nil end
  end
  self.banned[id] = skynet.time() + BAN
  return self:called(id)
end

function Room:called(id) return self.names[id] or id end

function Room:say(member, text)
  local line = { id = member.id, name = member.name, text = text }
  self.lines[#self.lines + 1] = line
  if #self.lines > LINES then table.remove(self.lines, 1) end
  self.group:push("chat", line)
end

-- Says something to all who are in, of no member.
function Room:tell(text) self.group:push("chat", { text = text }) end

-- Takes what the node knows of the room's media: nil if there is none.
function Room:on_air(info)
  local before = self.publishers
  self.publishers, self.viewers, self.recording = {}, 0, false
  if info then
    self.viewers, self.recording = info.viewers, info.recording
    for _, member in ipairs(info.members) do
      if member.action == "publish" then self.publishers[member.who] = { protocol = member.protocol } end
    end
  end
  for id in pairs(before) do
    if not self.publishers[id] then
      self.muted[id] = nil
      self:forget(id)
    end
  end
end

-- The room as the lobby shows it.
function Room:card()
  local people = 0
  for _ in pairs(self.sessions) do people = people + 1 end
  return {
    name = self.name, title = self.title, host = self.host_name, people = people, viewers = self.viewers,
    live = next(self.publishers) ~= nil, recording = self.recording,
  }
end

-- The room as its members see it.
function Room:view()
  local people, seen = {}, {}
  local function add(id)
    if seen[id] then return end
    seen[id] = true
    local air = self.publishers[id]
    people[#people + 1] = {
      id = id, name = self:called(id), host = id == self.host, on_air = air ~= nil, by = air and air.protocol, muted = self.muted[id] == true,
    }
  end
  for id in pairs(self.publishers) do add(id) end
  for _, member in pairs(self.sessions) do add(member.id) end
  table.sort(people, function(a, b)
    if a.on_air ~= b.on_air then return a.on_air end
    return a.name < b.name
  end)
  return {
    name = self.name, title = self.title, host = self.host, viewers = self.viewers, recording = self.recording,
    people = people, speaking = self.speaking, live = next(self.publishers) ~= nil,
  }
end

return Room
