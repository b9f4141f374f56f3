-- One player: what they have, and what their client may ask for. The gate keeps one of these a player, and ends it some time after the client is gone.
local skynet = require "skynet"
local check = require "check"
local Purse = require "purse"
local world = require "world"

local M = { client = {} }
local client = M.client

-- Chat: one message a second, and a few in a row after a silence.
local chat_length, chat_burst, chat_pause = 200, 5, 100

local not_entered = { code = "not_entered", msg = "enter the map first" }

function M.start(self, player)
  self.id = player.uid
  self.name = player.name
  self.purse = Purse.open(player.uid, player.name, world.kinds)
  self.map = skynet.localname("map")
  self.talk = chat_burst
  self.talked = skynet.now()
end

function M.connect(self, session)
  self.session = session
  self.purse.session = session
end

function M.disconnect(self, session)
  if self.session ~= session then return end -- a newer one has taken over
  self.session = nil
  self.entered = nil
  self.purse.session = nil
  skynet.send(self.map, "lua", "leave", self.id)
end

function M.stop(self)
  self.purse.closed = true
  skynet.send(self.map, "lua", "leave", self.id)
  self.purse:commit()
end

-- Keeps where the map says that the player is.
local function keep(self, x, y, n)
  local doc = self.purse.doc
  if doc.x == x and doc.y == y and doc.n == n then return end
  doc.x = x
  doc.y = y
  doc.n = n
end

local function standing(self)
  local doc = self.purse.doc
  return { x = doc.x, y = doc.y, n = doc.n, coins = self.purse.coins }
end

function client.enter(self, request, session)
  if self.entered == session then return nil, { code = "entered", msg = "this session is on the map already" } end
  -- A step of the session before this one may be under way: behind the fence its answer is in the document.
  skynet.call(self.map, "lua", "fence")
  if self.session ~= session then return nil, { code = "gone", msg = "another session has taken over" } end
  local doc = self.purse.doc
  local seat = skynet.call(self.map, "lua", "enter", { id = self.id, name = self.name, x = doc.x, y = doc.y, n = doc.n }, session)
  if not seat then return nil, { code = "full", msg = "there is no room on the map" } end
  if self.session ~= session then return nil, { code = "gone", msg = "another session has taken over" } end
  self.entered = session
  keep(self, seat.x, seat.y, seat.n)
  seat.coins = self.purse.coins
  seat.inventory = self.purse.inventory
  return seat
end

function client.move(self, request, session)
  local dx, err = check.integer(request, "dx", -1, 1)
  if not dx then return nil, err end
  local dy
  dy, err = check.integer(request, "dy", -1, 1)
  if not dy then return nil, err end
  if self.entered ~= session then return nil, not_entered end
  local x, y, n, kind = skynet.call(self.map, "lua", "move", self.id, dx, dy)
  if not x then return nil, not_entered end
  keep(self, x, y, n)
  if not kind then return standing(self) end
  self.purse:put(kind) -- waits: nothing that the player has been told may be lost
  return { x = x, y = y, n = n, coins = self.purse.coins, inventory = self.purse.inventory }
end

function client.save(self, request, session)
  if self.entered ~= session then return nil, not_entered end
  local answer = standing(self)
  answer.coins = self.purse.doc.coins
  local ok, why = pcall(self.purse.commit, self.purse)
  if not ok then
    skynet.error("player " .. self.id .. ": save: " .. tostring(why))
    return nil, { code = "unsaved", msg = "the database does not answer; nothing is lost, it is saved when the database is back" }
  end
  return answer
end

function client.chat(self, request, session)
  local text, err = check.text(request, "text", chat_length)
  if not text then return nil, err end
  if self.entered ~= session then return nil, not_entered end
  local now = skynet.now()
  self.talk = math.min(chat_burst, self.talk + (now - self.talked) / chat_pause)
  self.talked = now
  if self.talk < 1 then
    return nil, { code = "too_fast", msg = "one message a second is allowed, and " .. chat_burst .. " in a row after a silence" }
  end
  self.talk = self.talk - 1
  if not skynet.call(self.map, "lua", "chat", self.id, text) then return nil, not_entered end
  return {}
end

return M
