---@meta msgpack

---MessagePack. 64-bit integers are exact.
---@class msgpack
local msgpack = {}

---@class msgpack.object
---@field data string
---@field type? integer

---@param ... any
---@return string
function msgpack.encode(...) end

---@param ... any
---@return string
function msgpack.pack(...) end

---All values.
---@param text string
---@return any ...
function msgpack.decode(text) end

---All values.
---@param text string
---@return any ...
function msgpack.unpack(text) end

---One value from an offset on, and the offset behind it, -1 at the end.
---@param text string
---@param offset? integer
---@return integer offset
---@return any value
function msgpack.decode_one(text, offset) end

---One value from an offset on.
---@param text string
---@param offset? integer
---@return integer offset
---@return any value
function msgpack.unpack_one(text, offset) end

---At most limit values from an offset on.
---@param text string
---@param limit integer
---@param offset? integer
---@return integer offset
---@return any ...
function msgpack.decode_limit(text, limit, offset) end

---At most limit values from an offset on.
---@param text string
---@param limit integer
---@param offset? integer
---@return integer offset
---@return any ...
function msgpack.unpack_limit(text, limit, offset) end

---Bytes, which are no text.
---@param bytes string
---@return msgpack.object
function msgpack.bin(bytes) end

---A value of an application's type.
---@param type integer
---@param bytes string
---@return msgpack.object
function msgpack.ext(type, bytes) end

---What strings are written as.
---@param as "string"|"binary"
function msgpack.set_string(as) end

---Which tables are written as arrays.
---@param as "without_hole"|"with_hole"|"always_as_map"
function msgpack.set_array(as) end

---Whether bytes are read as msgpack.bin makes them, instead of as strings.
---@param on boolean
function msgpack.decode_bin_as_object(on) end

---Whether integers that the engine can't hold become strings instead of errors.
---@param on boolean
function msgpack.big_integers_as_strings(on) end

return msgpack
