-- The agent of one player: it starts at the player's login, and is the only one who writes the player's document.
local skynet = require "skynet"
local store = require "store"
local gate = require "gate"

local M = {}

-- Before the first request: load what the player has. doc is a plain table; what changes in it is saved within two seconds, and when the agent ends.
function M.start(self, player)
  self.name = player.name
  self.doc = store.open("player", player.uid, { clicks = 0 })
  self.counter = skynet.queryservice("counter")
end

-- A client of this player is there; session is where pushes go.
function M.connect(self, session)
  self.session = session
  gate.push(session, "welcome", { name = self.name, clicks = self.doc.clicks })
end

function M.disconnect(self, session, reason)
  if self.session == session then self.session = nil end
end

-- What clients may call, by route. The result is the answer; nil and a text, or nil and { code, msg }, is an error.
M.client = {}

function M.client.click(self, request)
  local n = request and request.n or 1
  if math.type(n) ~= "integer" or n < 1 or n > 10 then
    return nil, { code = "bad_request", msg = "n is an integer from 1 to 10" }
  end
  self.doc.clicks = self.doc.clicks + n
  return { clicks = self.doc.clicks, total = skynet.call(self.counter, "lua", "add", n) }
end

return M
