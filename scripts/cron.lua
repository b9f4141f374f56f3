-- cron: functions that run at times of the calendar, for as long as this service lives.
local skynet = require "skynet"

local cron = {}

-- The functions of the jobs, by name.
local funcs = {}

skynet.dispatch("cron", function(_, _, name, due, missed)
  local func = funcs[name]
  if func then func(due, missed) end -- else it was removed while this was on its way
end)

-- Makes a job of this service: func(due, missed) runs each time that the expression is due in the zone ("Europe/Berlin"; "UTC" if it is nil). It may wait.
-- due is the time in seconds, as os.time counts; missed is how many due times were left out before it. Gives the first due time.
-- With opts.once the job is one of the whole cluster: of the services that have a job of this name, on all nodes, one runs it each time. If its node dies meanwhile, that time is left out.
function cron.add(name, expr, zone, func, opts)
  if type(func) ~= "function" then
    error("cron.add: a function is expected as argument 4, got " .. type(func), 2)
  end
  if funcs[name] then
    error("cron.add: there is a job " .. name .. " already; cron.remove ends it", 2)
  end
  local due = skynet.call("cron", "lua", "add", name, expr, zone or "")
  if opts and opts.once then
    local each, cluster = func, require "cluster"
    func = function(at, missed)
      if cluster.once(name .. "@" .. at) then each(at, missed) end
    end
  end
  funcs[name] = func
  return due
end

-- Ends a job of this service; false if there is none.
function cron.remove(name)
  local removed = skynet.call("cron", "lua", "remove", name)
  funcs[name] = nil
  return removed
end

-- Gives the time when a job of this service is due next, and the one when it last was, if it has been; nil if there is no such job.
function cron.next(name)
  return skynet.call("cron", "lua", "next", name)
end

return cron
