---@meta skynet.multicast

local multicast = {}

---A channel. What is published to it arrives at all who have subscribed to it.
---@class skynet.channel
---@field channel integer its number, which other services make their own object of
local channel = {}

---Sends to all who have subscribed.
---@param ... any
function channel:publish(...) end

---Begins to listen: the channel's dispatch is called.
function channel:subscribe() end

---Ends listening.
function channel:unsubscribe() end

---Deletes the channel, for all.
function channel:delete() end

---@class skynet.channel.config
---@field channel? integer of a channel that is there; else a new one is made
---@field dispatch? fun(channel: skynet.channel, source: integer, ...)
---@field pack? fun(...): any
---@field unpack? fun(...): any

---Makes a channel, or an object for one that is there.
---@param conf? skynet.channel.config
---@return skynet.channel
function multicast.new(conf) end

return multicast
