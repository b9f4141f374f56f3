-- The agent of a player: requests of its client go to the guild that they name.
local grain = require "grain"

local M = { client = {} }

function M.start(self, player)
  self.uid = player.uid
end

local function guild(request)
  local name = type(request) == "table" and request.guild
  if type(name) ~= "string" or not name:find("^%w[%w_-]*$") or #name > 32 then
    error({ code = "bad_guild", message = "the name of a guild is expected: letters, digits, _ and -, 32 at most" })
  end
  return grain("guild", name)
end

function M.client.join(self, request)
  return { members = guild(request):call("join", self.uid) }
end

function M.client.leave(self, request)
  return { members = guild(request):call("leave", self.uid) }
end

function M.client.deposit(self, request)
  return { gold = guild(request):call("deposit", self.uid, request.gold) }
end

function M.client.look(_, request)
  return guild(request):call("look")
end

return M
