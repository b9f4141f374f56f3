---@meta cjson

---JSON. 64-bit integers are exact.
---@class cjson
local cjson = {}

cjson._NAME = "cjson"

---What stands for null.
---@type lightuserdata
cjson.null = nil
---An array without items, which an empty table is not.
---@type any
cjson.empty_array = nil
---A metatable: tables with it are arrays.
---@type table
cjson.array_mt = {}
---A metatable: tables with it are arrays if they are empty.
---@type table
cjson.empty_array_mt = {}

---@param v any
---@return string
function cjson.encode(v) end

---@param text string
---@return any
function cjson.decode(text) end

---Another cjson with options of its own.
---@return cjson
function cjson.new() end

---What is made of tables with many holes.
---@param convert? boolean an object instead of an error
---@param ratio? integer
---@param safe? integer
---@return boolean convert
---@return integer ratio
---@return integer safe
function cjson.encode_sparse_array(convert, ratio, safe) end

---@param depth? integer
---@return integer
function cjson.encode_max_depth(depth) end

---@param depth? integer
---@return integer
function cjson.decode_max_depth(depth) end

---Digits of floats.
---@param digits? integer
---@return integer
function cjson.encode_number_precision(digits) end

---What is made of NaN and infinities.
---@param setting? boolean|"null"
---@return boolean|"null"
function cjson.encode_invalid_numbers(setting) end

---@param setting? boolean
---@return boolean
function cjson.decode_invalid_numbers(setting) end

---@param on? boolean
---@return boolean
function cjson.encode_empty_table_as_object(on) end

---@param on? boolean
---@return boolean
function cjson.encode_escape_forward_slash(on) end

---@param on? boolean
---@return boolean
function cjson.encode_keep_buffer(on) end

---Whether arrays that are read get array_mt.
---@param on? boolean
---@return boolean
function cjson.decode_array_with_array_mt(on) end

---Whether integers that the engine can't hold become strings instead of errors.
---@param on? boolean
---@return boolean
function cjson.big_integers_as_strings(on) end

return cjson
