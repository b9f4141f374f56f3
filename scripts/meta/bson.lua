---@meta bson

---BSON documents. What Lua has no type for is a string with a zero byte in front, which bson.type tells apart.
---@class bson
local bson = {}

---@class bson.document
local document = {}

---The table of the document.
---@return table
function document:decode() end

---A null.
---@type any
bson.null = nil
---Smaller than all else.
---@type any
bson.minkey = nil
---Larger than all else.
---@type any
bson.maxkey = nil

---Makes a document of a table; tostring gives its bytes.
---@param t table
---@return bson.document
function bson.encode(t) end

---Makes a document of keys and values in their order: encode_order("a", 1, "b", 2).
---@param ... any
---@return bson.document
function bson.encode_order(...) end

---The table of a document, or of its bytes.
---@param doc bson.document|string
---@return table
function bson.decode(doc) end

---What a value is in BSON.
---@param v any
---@return string type
---@return any value
---@return any more
function bson.type(v) end

---A date; the time is in seconds.
---@param seconds number
---@return string
function bson.date(seconds) end

---A timestamp.
---@param seconds? integer
---@param increment? integer
---@return string
function bson.timestamp(seconds, increment) end

---An id: that of 24 hexadecimal digits, or a new one.
---@param hex? string
---@return string
function bson.objectid(hex) end

---Bytes.
---@param bytes string
---@param subtype? integer
---@return string
function bson.binary(bytes, subtype) end

---A regular expression.
---@param pattern string
---@param options? string
---@return string
function bson.regex(pattern, options) end

---An integer that is written with 64 bits, however small.
---@param v integer|string
---@return string
function bson.int64(v) end

---A decimal number of 128 bits.
---@param text string
---@return string
function bson.decimal(text) end

---Whether integers that the engine can't hold become strings instead of errors.
---@param on boolean
function bson.big_integers_as_strings(on) end

return bson
