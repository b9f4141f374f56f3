-- A player of a role-playing game: what belongs to one of them is in the first argument of each handler.
local skynet = require "skynet"

local M = { client = {} }

local ITEMS = {
  sword = { kind = "weapon", price = 100, attack = 10, level = 1 },
  axe = { kind = "weapon", price = 150, attack = 14, level = 3 },
  bow = { kind = "weapon", price = 180, attack = 12, level = 4 },
  staff = { kind = "weapon", price = 220, attack = 16, level = 6 },
  shield = { kind = "armour", price = 120, defence = 8, level = 2 },
  mail = { kind = "armour", price = 300, defence = 18, level = 5 },
  cloak = { kind = "armour", price = 80, defence = 3, level = 1 },
  potion = { kind = "potion", price = 10, heals = 30, stack = 20 },
  elixir = { kind = "potion", price = 60, heals = 200, stack = 10 },
  apple = { kind = "food", price = 2, heals = 5, stack = 50 },
  key = { kind = "quest", price = 0, stack = 1 },
}

local QUESTS = {
  rats = { level = 1, target = "rat", count = 10, gold = 50, experience = 100 },
  wolves = { level = 3, target = "wolf", count = 15, gold = 120, experience = 300 },
  bandits = { level = 5, target = "bandit", count = 20, gold = 300, experience = 900 },
  dragon = { level = 9, target = "dragon", count = 1, gold = 5000, experience = 20000, needs = "key" },
}

local SKILLS = {
  slash = { level = 1, mana = 0, power = 1.2, cooldown = 1 },
  charge = { level = 2, mana = 10, power = 1.5, cooldown = 5 },
  fire = { level = 4, mana = 25, power = 2.2, cooldown = 3 },
  heal = { level = 3, mana = 30, power = -2.0, cooldown = 8 },
}

local LEVELS = { 0, 100, 300, 700, 1500, 3100, 6300, 12700, 25500, 51100 }
local BAG, MAILBOX, FRIENDS = 40, 50, 100

local function fail(code, text)
  error({ code = code, message = text })
end

local function positive(n, what)
  if type(n) ~= "number" or n <= 0 or n ~= math.floor(n) then
    fail("bad_request", what .. " has to be a whole number above 0")
  end
  return n
end

local function item_of(name)
  return ITEMS[name] or fail("no_such_item", "there is no item " .. tostring(name))
end

local function find(bag, name)
  for i, slot in ipairs(bag) do
    if slot.name == name then
      return i, slot
    end
  end
end

local function add_item(self, name, count)
  local item = item_of(name)
  local _, slot = find(self.bag, name)
  if slot and slot.count + count <= (item.stack or 1) then
    slot.count = slot.count + count
    return
  end
  if #self.bag >= BAG then
    fail("bag_full", "the bag is full")
  end
  table.insert(self.bag, { name = name, count = count })
end

local function take_item(self, name, count)
  local i, slot = find(self.bag, name)
  if not slot or slot.count < count then
    fail("not_enough", "there are not " .. count .. " of " .. name)
  end
  slot.count = slot.count - count
  if slot.count == 0 then
    table.remove(self.bag, i)
  end
end

local function add_experience(self, n)
  self.experience = self.experience + n
  local grown = false
  while LEVELS[self.level + 1] and self.experience >= LEVELS[self.level + 1] do
    self.level = self.level + 1
    self.max_health = self.max_health + 20
    self.health = self.max_health
    grown = true
  end
  return grown
end

local function attack_of(self)
  local weapon = self.weapon and ITEMS[self.weapon]
  return 5 + self.level * 2 + (weapon and weapon.attack or 0)
end

local function defence_of(self)
  local armour = self.armour and ITEMS[self.armour]
  return self.level + (armour and armour.defence or 0)
end

function M.start(self, id, name)
  self.id, self.name = id, name
  self.level, self.experience, self.gold = 1, 0, 100
  self.health, self.max_health, self.mana = 100, 100, 50
  self.x, self.y = 0.5, 0.5
  self.bag, self.quests, self.friends, self.mails = {}, {}, {}, {}
  add_item(self, "sword", 1)
  add_item(self, "apple", 5)
  self.weapon = "sword"
end

function M.ping()
  return "pong"
end

function M.snapshot(self)
  return {
    id = self.id, name = self.name, level = self.level, gold = self.gold,
    health = self.health, x = self.x, y = self.y, bag = self.bag,
  }
end

function M.hurt(self, from, power)
  if self.health == 0 then
    return 0
  end
  local loss = math.max(1, power - defence_of(self))
  self.health = math.max(0, self.health - loss)
  if self.health == 0 then
    self.died_of = from
    self.gold = math.floor(self.gold * 0.95)
  end
  return self.health
end

function M.revive(self)
  self.health = math.floor(self.max_health / 2)
  self.x, self.y, self.died_of = 0.5, 0.5, nil
end

function M.killed(self, target)
  for name, quest in pairs(self.quests) do
    local about = QUESTS[name]
    if about.target == target and quest.count < about.count then
      quest.count = quest.count + 1
    end
  end
  return add_experience(self, 10 * self.level)
end

function M.mail(self, from, text, gold)
  if #self.mails >= MAILBOX then
    table.remove(self.mails, 1)
  end
  table.insert(self.mails, { from = from, text = text, gold = gold or 0, at = skynet.time() })
  return #self.mails
end

function M.befriended(self, id, name)
  self.friends[id] = { name = name, since = skynet.time() }
end

local client = M.client

function client.look(self)
  return M.snapshot(self)
end

function client.move(self, request)
  local dx, dy = request.x - self.x, request.y - self.y
  if dx * dx + dy * dy > 1 then
    fail("too_far", "one step is at most 1 long")
  end
  self.x, self.y = request.x, request.y
  return { x = self.x, y = self.y }
end

function client.buy(self, request)
  local item, count = item_of(request.item), positive(request.count, "count")
  local price = item.price * count
  if price > self.gold then
    fail("no_gold", "that costs " .. price .. ", you have " .. self.gold)
  end
  add_item(self, request.item, count)
  self.gold = self.gold - price
  return { gold = self.gold }
end

function client.sell(self, request)
  local item, count = item_of(request.item), positive(request.count, "count")
  take_item(self, request.item, count)
  self.gold = self.gold + math.floor(item.price * count / 2)
  return { gold = self.gold }
end

function client.use(self, request)
  local item = item_of(request.item)
  if not item.heals then
    fail("no_use", request.item .. " can't be used")
  end
  take_item(self, request.item, 1)
  self.health = math.min(self.max_health, self.health + item.heals)
  return { health = self.health }
end

function client.equip(self, request)
  local item = item_of(request.item)
  if not find(self.bag, request.item) then
    fail("not_enough", "there is no " .. request.item .. " in the bag")
  end
  if (item.level or 1) > self.level then
    fail("level", request.item .. " needs level " .. item.level)
  end
  if item.kind ~= "weapon" and item.kind ~= "armour" then
    fail("no_use", request.item .. " can't be worn")
  end
  self[item.kind] = request.item
  return { attack = attack_of(self), defence = defence_of(self) }
end

function client.cast(self, request)
  local skill = SKILLS[request.skill] or fail("no_such_skill", "there is no such skill")
  local now = skynet.time()
  self.cooldowns = self.cooldowns or {}
  if skill.level > self.level then
    fail("level", request.skill .. " needs level " .. skill.level)
  elseif (self.cooldowns[request.skill] or 0) > now then
    fail("too_soon", request.skill .. " is not ready")
  elseif skill.mana > self.mana then
    fail("no_mana", "that takes " .. skill.mana)
  end
  self.mana = self.mana - skill.mana
  self.cooldowns[request.skill] = now + skill.cooldown
  local power = attack_of(self) * skill.power
  if power < 0 then
    self.health = math.min(self.max_health, self.health - power)
    return { health = self.health, mana = self.mana }
  end
  return { health = skynet.call(request.target, "lua", "hurt", self.id, power), mana = self.mana }
end

function client.accept(self, request)
  local quest = QUESTS[request.quest] or fail("no_such_quest", "there is no such quest")
  if self.quests[request.quest] then
    fail("has_quest", "you are on that quest")
  elseif quest.level > self.level then
    fail("level", "that needs level " .. quest.level)
  elseif quest.needs and not find(self.bag, quest.needs) then
    fail("needs", "that needs " .. quest.needs)
  end
  self.quests[request.quest] = { count = 0, since = skynet.time() }
  return { count = 0, of = quest.count }
end

function client.finish(self, request)
  local quest, about = self.quests[request.quest], QUESTS[request.quest]
  if not quest or quest.count < about.count then
    fail("not_done", "that is not done")
  end
  self.quests[request.quest] = nil
  self.gold = self.gold + about.gold
  return { gold = self.gold, grown = add_experience(self, about.experience) }
end

function client.befriend(self, request)
  local n = 0
  for _ in pairs(self.friends) do
    n = n + 1
  end
  if n >= FRIENDS then
    fail("too_many", "you have " .. n .. " friends")
  end
  self.friends[request.id] = { name = request.name, since = skynet.time() }
  skynet.send(request.address, "lua", "befriended", self.id, self.name)
  return { friends = n + 1 }
end

function client.mails(self)
  local list = {}
  for i, mail in ipairs(self.mails) do
    list[i] = { from = mail.from, text = mail.text, gold = mail.gold }
    self.gold, mail.gold = self.gold + mail.gold, 0
  end
  return { mails = list, gold = self.gold }
end

function M.stop(self)
  self.left = skynet.time()
end

return M
