---@meta cron

---Functions that run at times of the calendar, for as long as this service lives.
---@class cron
local cron = {}

---Makes a job of this service. func may wait.
---@param name string
---@param expr string minute, hour, day of month, month, day of week; or with the second in front
---@param zone string? "Europe/Berlin"; nil is UTC
---@param func fun(due: integer, missed: integer) the time in seconds, and how many due times were left out before it
---@param opts { once: boolean }? once: of all nodes that have a job of this name one runs it each time
---@return integer due when it is due first
function cron.add(name, expr, zone, func, opts) end

---Ends a job of this service; false if there is none.
---@param name string
---@return boolean
function cron.remove(name) end

---When a job of this service is due next, and when it last was; nil if there is no such job.
---@param name string
---@return integer? due
---@return integer? last
function cron.next(name) end

return cron
