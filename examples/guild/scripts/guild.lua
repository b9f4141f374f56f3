-- A guild, which is one for all nodes: grain("guild", name). It is started by the first message to it, and loads its document before it handles that.
local gate = require "gate"
local store = require "store"

local M = {}

local MOST = 50

function M.start(self, name)
  self.name = name
  self.doc = store.open("guild", name, { gold = 0, members = {} })
end

local function place(self, who)
  for i, member in ipairs(self.doc.members) do
    if member == who then return i end
  end
end

local function tell(self, route, body)
  for _, member in ipairs(self.doc.members) do
    gate.push_to(member, route, body)
  end
end

function M.join(self, who)
  local members = self.doc.members
  if place(self, who) then return #members end
  if #members >= MOST then error({ code = "full", message = self.name .. " has " .. MOST .. " members" }) end
  members[#members + 1] = who
  tell(self, "guild.joined", { guild = self.name, who = who })
  return #members
end

function M.leave(self, who)
  local i = place(self, who)
  if i then table.remove(self.doc.members, i) end
  return #self.doc.members
end

-- Gold is durable when this returns: whoever has paid must not lose it with the node.
function M.deposit(self, who, gold)
  if not place(self, who) then error({ code = "stranger", message = who .. " is no member of " .. self.name }) end
  if math.type(gold) ~= "integer" or gold <= 0 then error({ code = "bad_gold", message = "a whole number above 0 is expected" }) end
  self.doc.gold = self.doc.gold + gold
  self.doc:commit()
  tell(self, "guild.gold", { guild = self.name, gold = self.doc.gold })
  return self.doc.gold
end

function M.look(self)
  return { name = self.name, gold = self.doc.gold, members = #self.doc.members }
end

return M
