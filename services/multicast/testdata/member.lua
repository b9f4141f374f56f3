-- A table of handlers that makes, publishes to and listens to channels; it keeps what it has heard.
local skynet = require "skynet"
local multicast = require "skynet.multicast"

local M = {}

function M.start(self)
  self.channels, self.heard = {}, {}
end

function M.new(self, conf)
  local c = multicast.new(conf)
  self.channels[c.channel] = c
  return c.channel, tostring(c)
end

-- Listens; how: nil, "wait" (the handler waits), "once" (it unsubscribes within), "fail".
function M.listen(self, number, how)
  local c
  c = multicast.new {
    channel = number,
    dispatch = function(channel, source, ...)
      if how == "wait" then skynet.sleep(5) end
      if how == "once" then channel:unsubscribe() end
      if how == "fail" then error("on purpose: " .. tostring((...))) end
      local parts = { tostring(source ~= 0 and source ~= nil), tostring(rawequal(channel, c)) }
      for i = 1, select("#", ...) do
        local v = (select(i, ...))
        parts[#parts + 1] = type(v) == "table" and "{" .. table.concat(v, ",") .. "}" or tostring(v)
      end
      self.heard[#self.heard + 1] = table.concat(parts, " ")
    end,
  }
  c:subscribe()
  c:subscribe() -- which it is
  self.channels[number] = c
end

function M.dot(self, what)
  multicast.new()[what]("text")
end

function M.unlisten(self, number)
  self.channels[number]:unsubscribe()
  self.channels[number]:unsubscribe()
end

function M.publish(self, number, ...)
  local c = self.channels[number] or multicast.new { channel = number }
  c:publish(...)
end

function M.count_up(self, number, name, n)
  local c = multicast.new { channel = number }
  for i = 1, n do
    c:publish(name, i)
    if i % 16 == 0 then skynet.yield() end
  end
end

function M.delete(self, number)
  self.channels[number]:delete()
  return self.channels[number].channel
end

function M.heard(self)
  local heard = table.concat(self.heard, "; ")
  self.heard = {}
  return heard
end

-- Listens to those who count up, and tells whether all was in order.
function M.listen_in_order(self, number)
  self.last, self.total, self.wrong = {}, 0, "in order"
  local c = multicast.new {
    channel = number,
    dispatch = function(_, _, name, i)
      if i ~= (self.last[name] or 0) + 1 then self.wrong = name .. " gave " .. i .. " behind " .. tostring(self.last[name]) end
      self.last[name], self.total = i, self.total + 1
    end,
  }
  c:subscribe()
end

function M.order(self) return self.wrong, self.total end

-- Subscribes and unsubscribes over and over while others publish.
function M.come_and_go(self, number, times)
  local inside, after = 0, 0
  for _ = 1, times do
    local there = true
    local c = multicast.new { channel = number, dispatch = function() if there then inside = inside + 1 else after = after + 1 end end }
    c:subscribe()
    skynet.yield()
    c:unsubscribe()
    there = false
    skynet.yield()
  end
  return after
end

function M.packed(self)
  local heard = {}
  local conf = {
    pack = function(a, b) return a .. "|" .. b end,
    unpack = function(s, size) return size, s:match("(.*)|(.*)") end,
    dispatch = function(_, _, ...) heard[#heard + 1] = table.concat({ ... }, ",") end,
  }
  local c = multicast.new(conf)
  c:subscribe()
  c:publish("x", "yz")
  local plain = multicast.new { pack = skynet.pack, unpack = skynet.unpack, dispatch = function(_, _, ...) heard[#heard + 1] = select("#", ...) end }
  plain:subscribe()
  plain:publish(1, nil, { 3 }, nil)
  skynet.sleep(2)
  return table.concat(heard, "; ")
end

function M.two_objects(self)
  local heard = {}
  local a = multicast.new { dispatch = function(_, _, v) skynet.sleep(1) heard[#heard + 1] = "a" .. v end }
  local b = multicast.new { channel = a.channel, dispatch = function(_, _, v) heard[#heard + 1] = "b" .. v end }
  a:subscribe() b:subscribe()
  a:publish(1) skynet.sleep(5)
  a:unsubscribe() b:publish(2) skynet.sleep(5)
  b:unsubscribe() b:publish(3) skynet.sleep(5)
  table.sort(heard)
  return table.concat(heard, " ")
end

function M.no_dispatch(self)
  multicast.new():subscribe()
end

return M
