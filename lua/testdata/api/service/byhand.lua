local skynet = require "skynet"

local held, used_error

local command = {}

function command.response(session, source)
  skynet.ignoreret()
  skynet.timeout(0, function() skynet.redirect(source, skynet.self(), "response", session, skynet.pack("by hand")) end)
end

function command.error(session, source)
  skynet.ignoreret()
  skynet.timeout(0, function() skynet.redirect(source, skynet.self(), skynet.PTYPE_ERROR, session, "") end)
end

function command.retpack() skynet.retpack(nil, 2, nil) end

function command.unsendable() skynet.retpack(1, print) end

function command.hold() held = skynet.response() end

function command.held() skynet.retpack(held("TEST")) end

function command.packs()
  local r = skynet.response(function(s) return skynet.packstring(s .. " by hand") end)
  r(true, "packed")
end

function command.used()
  local r = skynet.response()
  r(true, "again")
  used_error = select(2, pcall(r, true))
end

command["error of used"] = function() skynet.retpack(used_error or "") end

skynet.start(function()
  skynet.dispatch("lua", function(session, source, name) command[name](session, source) end)
end)
