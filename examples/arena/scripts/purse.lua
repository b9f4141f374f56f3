-- A player's document and the coins in it. Coins are shown when they are durable and not before: what a player has been told, no crash takes away.
local skynet = require "skynet"
local store = require "store"
local gate = require "gate"

local Purse = {}
Purse.__index = Purse

-- How long a request waits for the database, in 1/100 s. While it is away players play on, and hear of their coins when these are safe.
local patience = 100

local function copy(t)
  local c = {}
  for k, v in pairs(t) do c[k] = v end
  return c
end

-- Opens the document of a player, and makes this service its owner.
function Purse.open(uid, name, kinds)
  local doc = store.open("player", uid, { n = 0, coins = 0, inventory = {} })
  doc.name = name
  for _, kind in ipairs(kinds) do
    doc.inventory[kind.name] = doc.inventory[kind.name] or 0
  end
  return setmetatable({ uid = uid, doc = doc, coins = doc.coins, inventory = copy(doc.inventory), waiting = {} }, Purse)
end

-- Makes durable what is in the document now, and raises if that fails. Without it, it is saved within the store's autosave interval.
function Purse:commit()
  local coins, inventory = self.doc.coins, copy(self.doc.inventory)
  self.doc:commit()
  -- Another commit, of more coins, may have been quicker.
  if coins > self.coins then
    self.coins = coins
    self.inventory = inventory
  end
end

-- Commits until all coins are durable. There is one of these at a time.
local function bank(self)
  local pause = 50
  while self.coins < self.doc.coins and not self.closed do
    local ok, err = pcall(self.commit, self)
    if ok then
      for token in pairs(self.waiting) do skynet.wakeup(token) end
    else
      skynet.error("player " .. self.uid .. ": coins are not durable yet: " .. tostring(err))
      skynet.sleep(pause)
      pause = math.min(2 * pause, 3000)
    end
  end
  self.banking = false
  if self.late and self.session then
    gate.push(self.session, "purse", { coins = self.coins, inventory = self.inventory })
  end
  self.late = false
end

-- Puts a coin in, and returns when it is durable or the patience is at its end; then the session gets a push `purse` later.
function Purse:put(kind)
  local doc = self.doc
  doc.coins = doc.coins + 1
  doc.inventory[kind] = (doc.inventory[kind] or 0) + 1
  local coins = doc.coins
  if not self.banking then
    self.banking = true
    skynet.fork(bank, self)
  end
  if self.late then return end -- the database is away: who waited for it once waits no more
  local token = {}
  self.waiting[token] = true
  local deadline = skynet.now() + patience
  while self.coins < coins and skynet.now() < deadline do
    skynet.sleep(deadline - skynet.now(), token)
  end
  self.waiting[token] = nil
  if self.coins < coins then self.late = true end
end

return Purse
