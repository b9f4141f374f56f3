---@meta log

---The node's log, with levels and fields: log.info("bought", { thing = "sword", gold = 3 }), or log.info("%s has %d", name, gold). Lines below the node's level
---cost next to nothing.
---@class log
local log = {}

---@param message string or a format, if arguments for it follow
---@param ... any fields by name, or the format's arguments
function log.debug(message, ...) end

---@param message string or a format, if arguments for it follow
---@param ... any fields by name, or the format's arguments
function log.info(message, ...) end

---@param message string or a format, if arguments for it follow
---@param ... any fields by name, or the format's arguments
function log.warn(message, ...) end

---@param message string or a format, if arguments for it follow
---@param ... any fields by name, or the format's arguments
function log.error(message, ...) end

---Tells whether lines of a level are written.
---@param level "debug" | "info" | "warn" | "error"
---@return boolean
function log.enabled(level) end

return log
