-- skynet.multicast: one message to all services that have subscribed to a channel.
local skynet = require "skynet"
local core = require "skynet.multicast.core"

local multicast = {}

local channel = {}
channel.__index = channel

function channel:__tostring()
  return string.format("[Multicast:%x]", self.channel or 0)
end

-- The objects of this service that have subscribed, by the channel's number as text, with which messages begin.
local subscribed = {}

-- Of these, those that are alone and get the values as they are.
local direct = {}

local function keep(k, list)
  subscribed[k] = list
  direct[k] = list and #list == 1 and not list[1].__unpack and list[1] or nil
end

local function key(number)
  return string.format("%d", number)
end

local function deliver(self, source, ...)
  if not self.__subscribe then return end -- it has unsubscribed while the message was on its way
  if self.__unpack then
    local message = ...
    return self.__dispatch(self, source, self.__unpack(message, #message))
  end
  return self.__dispatch(self, source, ...)
end

-- A number with a minus in front tells that the channel has been deleted.
local function closed(text)
  local k = text:match("^-(.*)$")
  if not k then return end -- the subscription has ended while the message was on its way
  for _, self in ipairs(subscribed[k] or {}) do
    self.__subscribe = nil
  end
  keep(k, nil)
  core.unsubscribe(tonumber(k))
end

local function spread(source, text, ...)
  local list = subscribed[text]
  if not list then return closed(text) end
  for i = 2, #list do skynet.fork(deliver, list[i], source, ...) end
  return deliver(list[1], source, ...)
end

local function dispatch(_, source, text, ...)
  local self = direct[text]
  if self then return self.__dispatch(self, source, ...) end
  return spread(source, text, ...)
end

skynet.register_protocol { name = "multicast", id = skynet.PTYPE_MULTICAST, pack = skynet.pack, unpack = skynet.unpack, dispatch = dispatch }

-- Gives a channel: a new one, or, with conf.channel, the one of that number. conf.dispatch(channel, source, ...) gets what is published once it has subscribed;
-- it may wait. conf.pack makes what is published a string, and conf.unpack(string, size) what dispatch gets; without them the values go as they are.
function multicast.new(conf)
  conf = conf or {}
  local pack, unpack = conf.pack, conf.unpack
  if pack == skynet.pack then pack = nil end
  if unpack == skynet.unpack then unpack = nil end
  return setmetatable({ channel = conf.channel or core.new(), __pack = pack, __unpack = unpack, __dispatch = conf.dispatch }, channel)
end

local function number(self, what)
  if getmetatable(self) ~= channel then error("multicast: " .. what .. " is called with a colon: channel:" .. what .. "(...)", 3) end
  local n = self.channel
  if not n then error("multicast: " .. what .. ": the channel has been deleted", 3) end
  return n
end

-- Sends the values to all who have subscribed, this service too if it has.
function channel:publish(...)
  local n = number(self, "publish")
  if self.__pack then
    core.publish(n, (self.__pack(...)))
  else
    core.publish(n, ...)
  end
end

-- Has conf.dispatch get what is published from now on.
function channel:subscribe()
  local n = number(self, "subscribe")
  if self.__subscribe then return end
  if type(self.__dispatch) ~= "function" then
    error("multicast: subscribe: a function is expected as conf.dispatch of multicast.new, got " .. type(self.__dispatch), 2)
  end
  core.subscribe(n)
  self.__subscribe = true
  local list = { self } -- the one that there is may be in use by a delivery
  for _, other in ipairs(subscribed[key(n)] or {}) do list[#list + 1] = other end
  keep(key(n), list)
end

-- Ends the subscription: nothing more comes.
function channel:unsubscribe()
  if getmetatable(self) ~= channel then error("multicast: unsubscribe is called with a colon: channel:unsubscribe()", 2) end
  if not self.__subscribe then return end
  self.__subscribe = nil
  local k = key(self.channel)
  local left = {}
  for _, other in ipairs(subscribed[k]) do
    if other ~= self then left[#left + 1] = other end
  end
  keep(k, left[1] and left)
  if not left[1] then core.unsubscribe(self.channel) end
end

-- Ends the channel, for all services.
function channel:delete()
  local n = number(self, "delete")
  if self.__subscribe then self:unsubscribe() end
  self.channel = nil
  core.delete(n)
end

return multicast
