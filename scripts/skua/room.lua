-- skua.room: live media rooms, from the script of their rules or any other.
local skynet = require "skynet"

local M = {}

local Room = {}
Room.__index = Room

-- Gives a room by its name, as the handlers of rules get it. It need not exist: what is done to a room that does not, does nothing.
function M.of(name)
  if type(name) ~= "string" then
    error("room.of: the name of a room is expected, got " .. type(name), 2)
  end
  return setmetatable({ name = name }, Room)
end

-- Gives the names of all rooms that somebody is in.
function M.list()
  return skynet.call("rooms", "lua", "list")
end

-- Gives the query of a URL with which somebody may "publish" or "play" in a room, for so many seconds.
function M.sign(name, action, who, seconds)
  return skynet.call("rooms", "lua", "sign", name, action, who or "", seconds)
end

-- Puts members out: one by its id, or all that go by a name. Gives how many.
function Room:kick(whom, reason)
  return skynet.call("rooms", "lua", "kick", self.name, whom, reason) or 0
end

-- Leaves out the "audio" or "video" of all the room, or of one member by its id or name, until on is false.
function Room:mute(kind, on, whom)
  return skynet.call("rooms", "lua", "mute", self.name, kind, on ~= false, whom)
end

-- Says something to the members who come by WebRTC and listen on the data channel "room", or to those of a name only. Gives how many.
function Room:tell(text, who)
  return skynet.call("rooms", "lua", "tell", self.name, text, who) or 0
end

-- Puts everybody out. Gives how many.
function Room:close(reason)
  return skynet.call("rooms", "lua", "close", self.name, reason) or 0
end

-- Begins to write the room to files: options are format ("mp4" or "flv"), and after how many seconds or bytes a new one is begun. Gives false if there is no such room.
function Room:record_start(options)
  return skynet.call("rooms", "lua", "record_start", self.name, options) or false
end

-- Ends that: on_record is told of the file. Gives whether it was recorded.
function Room:record_stop()
  return skynet.call("rooms", "lua", "record_stop", self.name) or false
end

-- Sends the room's stream to another server, rtmp://HOST/APP/STREAM or rtsp://USER:PASSWORD@HOST/PATH, until forward_stop, and again when the connection breaks. Gives the number of it, or false if there is no such room.
function Room:forward(url)
  return skynet.call("rooms", "lua", "forward", self.name, url) or false
end

-- Ends that, by its number. Gives whether there was one.
function Room:forward_stop(id)
  return skynet.call("rooms", "lua", "forward_stop", self.name, id) or false
end

-- Has a stream of another server be the room's, until pull_stop: from rtmp://HOST/APP/STREAM, http://HOST/PATH.flv or rtsp://USER:PASSWORD@HOST/PATH. options.who is who publishes, as the room has it. Gives the number of it.
function Room:pull(url, options)
  return skynet.call("rooms", "lua", "pull", self.name, url, options)
end

-- Ends that, by its number. Gives whether there was one.
function Room:pull_stop(id)
  return skynet.call("rooms", "lua", "pull_stop", self.name, id) or false
end

-- Gives what there is to know of the room, or nil if nobody is in it.
function Room:info()
  return skynet.call("rooms", "lua", "info", self.name)
end

return M
