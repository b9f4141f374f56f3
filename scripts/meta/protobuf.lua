---@meta protobuf

---Protocol Buffers, compiled from .proto files.
---@class protobuf
local protobuf = {}

---Compiles a text.
---@param text string
---@param name? string of the file that it stands for
function protobuf.load(text, name) end

---Compiles a file of lua.path, and those that it imports.
---@param name string
function protobuf.load_file(name) end

---@param type string the full name of a message
---@param t table
---@return string
function protobuf.encode(type, t) end

---@param type string the full name of a message
---@param bytes string
---@return table
function protobuf.decode(type, bytes) end

---The number of an enum's name, or the name of its number.
---@param type string
---@param name string|integer
---@return integer|string|nil
function protobuf.enum(type, name) end

---What a type is: its full name, its name, and "message", "map" or "enum".
---@param type string
---@return string? fullname
---@return string? basename
---@return string? kind
function protobuf.type(type) end

---Walks over all types.
---@return fun(): string?, string?, string?
function protobuf.types() end

---Walks over the fields of a message.
---@param type string
---@return fun(): string?, integer?, string?
function protobuf.fields(type) end

---A field of a message.
---@param type string
---@param name string|integer
---@return string? name
---@return integer? number
---@return string? type
function protobuf.field(type, name) end

---The default values of a message.
---@param type string
---@return table
function protobuf.defaults(type) end

---Sets an option.
---@param name "enum_as_name"|"enum_as_value"|"int64_as_number"|"int64_as_string"|"auto_default_values"|"no_default_values"|"use_default_values"
function protobuf.option(name) end

return protobuf
