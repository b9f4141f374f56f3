-- A map: where everybody is, who sees whom, and where the coins lie. It owns positions and step counts while a player is on it;
-- what a player has is the agent's.
--
-- A session that has entered is told everything that happens within `view` of its player, in order: from `enter` of somebody (or from the answer
-- to its own enter) to their `leave` it gets each of their moves. Sight is mutual, because all see equally far.
local skynet = require "skynet"
local gate = require "gate"
local Grid = require "grid"

local M = {}

local function inside(self, x, y)
  return x >= 0 and y >= 0 and x < self.width and y < self.height
end

-- One number for a spot, to find things by.
local function spot(self, x, y)
  return y * self.width + x
end

local function walkable(self, x, y)
  return inside(self, x, y) and not self.blocked[spot(self, x, y)]
end

-- How many steps it is from a thing to a spot: diagonal ones count as one.
local function distance(thing, x, y)
  return math.max(math.abs(thing.x - x), math.abs(thing.y - y))
end

local function someone_at(self, x, y)
  for _, p in ipairs(self.grid:near(x, y, x, y)) do
    if p.x == x and p.y == y then return true end
  end
  return false
end

local function free(self, x, y)
  return walkable(self, x, y) and not self.coin_at[spot(self, x, y)] and not someone_at(self, x, y)
end

-- A spot of the area without wall, player or coin; nil if there is none.
local function free_spot(self, area)
  local all = area.w * area.h
  local at = 0
  for i = 1, 50 + all do
    -- After some tries nearly everything is taken: then each spot in turn.
    at = i <= 50 and math.random(0, all - 1) or (at + 1) % all
    local x, y = area.x + at % area.w, area.y + at // area.w
    if free(self, x, y) then return x, y end
  end
end

-- The walkable spot nearest to x, y: the world may have changed since somebody was saved there.
local function nearest_walkable(self, x, y)
  x, y = math.max(0, math.min(self.width - 1, x)), math.max(0, math.min(self.height - 1, y))
  for far = 0, math.max(self.width, self.height) do
    for dy = -far, far do
      local step = math.abs(dy) == far and 1 or math.max(1, 2 * far) -- the edge of the square only
      for dx = -far, far, step do
        if walkable(self, x + dx, y + dy) then return x + dx, y + dy end
      end
    end
  end
end

local function describe(p)
  return { id = p.id, name = p.name, x = p.x, y = p.y, n = p.n }
end

local function describe_coin(c)
  return { id = c.id, x = c.x, y = c.y, kind = c.kind }
end

-- The sessions of all who see the spot.
local function witnesses(self, x, y)
  local sessions, r = {}, self.view
  for _, p in ipairs(self.grid:near(x - r, y - r, x + r, y + r)) do
    if distance(p, x, y) <= r then sessions[#sessions + 1] = p.session end
  end
  return sessions
end

local function tell(sessions, route, body)
  if #sessions > 0 then gate.push(sessions, route, body) end
end

local function random_kind(self)
  local n = math.random(1, self.shares)
  for _, kind in ipairs(self.kinds) do
    n = n - kind.share
    if n <= 0 then return kind.name end
  end
end

-- Lays coins until as many lie about as there should.
local function lay_coins(self)
  while self.coin_count < self.wanted do
    local x, y = free_spot(self, self.everywhere)
    if not x then return end
    self.last_coin = self.last_coin + 1
    local coin = { id = self.last_coin, x = x, y = y, kind = random_kind(self) }
    self.coin_at[spot(self, x, y)] = coin
    self.coins:add(coin)
    self.coin_count = self.coin_count + 1
    tell(witnesses(self, x, y), "coin", describe_coin(coin))
  end
end

function M.start(self, world)
  local w = require(world)
  math.randomseed(w.seed or skynet.hpc())
  self.width = w.width
  self.height = w.height
  self.view = w.view
  self.everywhere = { x = 0, y = 0, w = w.width, h = w.height }
  self.arrival = w.arrival or self.everywhere
  self.walls = w.walls
  self.kinds = w.kinds
  self.wanted = w.coins
  self.shares = 0
  for _, kind in ipairs(w.kinds) do self.shares = self.shares + kind.share end
  self.blocked = {}
  for _, wall in ipairs(w.walls) do
    for y = wall.y, wall.y + wall.h - 1 do
      for x = wall.x, wall.x + wall.w - 1 do
        if inside(self, x, y) then self.blocked[spot(self, x, y)] = true end
      end
    end
  end
  self.players = {} -- by id
  self.grid = Grid.new(w.view) -- the same, by where they are
  self.coins = Grid.new(w.view)
  self.coin_at = {} -- by spot
  self.coin_count = 0
  self.last_coin = 0
  lay_coins(self)
end

-- What the player sees now.
local function sight(self, p)
  local players, coins, r = {}, {}, self.view
  local x1, y1, x2, y2 = p.x - r, p.y - r, p.x + r, p.y + r
  for _, q in ipairs(self.grid:near(x1, y1, x2, y2)) do
    if q ~= p and distance(q, p.x, p.y) <= r then players[#players + 1] = describe(q) end
  end
  for _, c in ipairs(self.coins:near(x1, y1, x2, y2)) do
    if distance(c, p.x, p.y) <= r then coins[#coins + 1] = describe_coin(c) end
  end
  return players, coins
end

-- Puts a player on the map, at x, y or where there is room, and answers with what the session has to know. A player who is there already stays where
-- they are, and the new session takes the place of the old one. nil: the map is full.
function M.enter(self, player, session)
  local p = self.players[player.id]
  if p then
    p.session = session
  else
    local x, y = player.x, player.y
    if x and y then
      x, y = nearest_walkable(self, x, y)
    else
      x, y = free_spot(self, self.arrival)
      if not x then
        x, y = free_spot(self, self.everywhere)
      end
    end
    if not x then return nil end
    p = { id = player.id, name = player.name, x = x, y = y, n = player.n, session = session }
    tell(witnesses(self, x, y), "enter", describe(p))
    self.players[p.id] = p
    self.grid:add(p)
  end
  local players, coins = sight(self, p)
  return {
    id = p.id, name = p.name, x = p.x, y = p.y, n = p.n,
    width = self.width, height = self.height, view = self.view, walls = self.walls,
    players = players, coin_list = coins,
  }
end

function M.leave(self, id)
  local p = self.players[id]
  if not p then return end
  self.players[id] = nil
  self.grid:remove(p)
  tell(witnesses(self, p.x, p.y), "leave", { id = id })
end

-- Answers when everything has been handled that the caller sent before, and its answers are there.
function M.fence(self)
  return true
end

-- Tells all who see p's step from ox, oy to where p is now, and p what has come into view and what has gone.
local function tell_step(self, p, ox, oy)
  local x, y, r = p.x, p.y, self.view
  local x1, y1, x2, y2 = math.min(x, ox) - r, math.min(y, oy) - r, math.max(x, ox) + r, math.max(y, oy) + r
  local see, met, lost = {}, {}, {}
  for _, q in ipairs(self.grid:near(x1, y1, x2, y2)) do
    local was, is = distance(q, ox, oy) <= r, distance(q, x, y) <= r
    if q == p then
      -- Nobody is told of their own steps: the answer tells them.
    elseif was and is then
      see[#see + 1] = q.session
    elseif is then
      met[#met + 1] = q.session
      gate.push(p.session, "enter", describe(q))
    elseif was then
      lost[#lost + 1] = q.session
      gate.push(p.session, "leave", { id = q.id })
    end
  end
  tell(see, "move", { id = p.id, x = x, y = y, n = p.n })
  tell(met, "enter", describe(p))
  tell(lost, "leave", { id = p.id })
  for _, c in ipairs(self.coins:near(x1, y1, x2, y2)) do
    local was, is = distance(c, ox, oy) <= r, distance(c, x, y) <= r
    if is and not was then
      gate.push(p.session, "coin", describe_coin(c))
    elseif was and not is then
      gate.push(p.session, "coin_gone", { id = c.id })
    end
  end
end

local function pick_up(self, coin)
  self.coin_at[spot(self, coin.x, coin.y)] = nil
  self.coins:remove(coin)
  self.coin_count = self.coin_count - 1
  tell(witnesses(self, coin.x, coin.y), "coin_gone", { id = coin.id })
  lay_coins(self)
end

-- One step; answers where the player is then, how many steps they have made in all, and the kind of the coin that lay there. A step against a wall
-- or the border is none. nil: not on the map.
function M.move(self, id, dx, dy)
  local p = self.players[id]
  if not p then return nil end
  local ox, oy = p.x, p.y
  local x, y = ox + dx, oy + dy
  if (dx == 0 and dy == 0) or not walkable(self, x, y) then return ox, oy, p.n end
  self.grid:move(p, x, y)
  p.n = p.n + 1
  tell_step(self, p, ox, oy)
  local coin = self.coin_at[spot(self, x, y)]
  if coin then pick_up(self, coin) end
  return x, y, p.n, coin and coin.kind
end

-- Says something to everybody on the map; false if the speaker is not there.
function M.chat(self, id, text)
  local p = self.players[id]
  if not p then return false end
  local sessions = {}
  for _, q in pairs(self.players) do sessions[#sessions + 1] = q.session end
  tell(sessions, "chat", { id = id, name = p.name, text = text })
  return true
end

return M
