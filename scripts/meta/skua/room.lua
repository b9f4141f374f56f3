---@meta skua.room

---Live media rooms, from the script of their rules or any other.
---@class skua.room
local room = {}

---@class skua.Room
---@field name string
local Room = {}

---@class skua.RoomMember
---@field id integer
---@field who string as its URL has it; empty: nobody knows
---@field action "publish"|"play"
---@field protocol string
---@field addr string
---@field seconds number that it has been in
---@field bytes integer? of viewers, as skips and skipped
---@field skips integer?
---@field skipped integer?
---@field reason string? why it has left, in on_leave
---@field node string? that it is on, if that is another one

---@class skua.RoomRemote
---@field id integer
---@field kind "forward"|"pull"
---@field url string without what may be secret
---@field state "up"|"down"|"ended"
---@field seconds number in that state
---@field failures integer
---@field reason string? why it is not up

---@class skua.RoomInfo
---@field name string
---@field live boolean
---@field viewers integer
---@field tracks table[]
---@field members skua.RoomMember[]
---@field remotes skua.RoomRemote[]
---@field frames integer
---@field bytes integer
---@field jumps integer

---A room by its name. It need not exist: what is done to a room that does not, does nothing.
---@param name string
---@return skua.Room
function room.of(name) end

---The names of all rooms that somebody is in.
---@return string[]
function room.list() end

---The query of a URL with which somebody may do one thing in one room. Needs `media.keys`.
---@param name string
---@param action "publish"|"play"
---@param who string?
---@param seconds integer
---@return string
function room.sign(name, action, who, seconds) end

---Puts members out: one by its id, or all that go by a name.
---@param whom integer|string
---@param reason string?
---@return integer how many
function Room:kick(whom, reason) end

---Leaves out what is published of a kind, of later publishers, too.
---@param kind "audio"|"video"
---@param on boolean? false takes it back
---@return boolean
function Room:mute(kind, on) end

---Puts everybody out.
---@param reason string?
---@return integer how many
function Room:close(reason) end

---Sends the room to another server, again when the connection breaks. Raises an error for what is no such URL, or too many.
---@param url string rtmp://HOST/APP/STREAM, or rtmps, rtsp://USER:PASSWORD@HOST/PATH, or rtsps
---@return integer|false number false: there is no such room
function Room:forward(url) end

---Ends that.
---@param id integer
---@return boolean whether there was one
function Room:forward_stop(id) end

---Has a stream of another server be the room's, which is made if there is none.
---@param url string rtmp://HOST/APP/STREAM, rtmps, http://HOST/PATH.flv, https, rtsp://USER:PASSWORD@HOST/PATH, rtspu (over UDP), or rtsps
---@param options { who: string? }?
---@return integer number
function Room:pull(url, options) end

---Ends that.
---@param id integer
---@return boolean whether there was one
function Room:pull_stop(id) end

---What there is to know of the room, or nil if nobody is in it.
---@return skua.RoomInfo?
function Room:info() end

return room
