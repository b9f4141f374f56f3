-- A service in Skynet's style that does what the tests need.
local skynet = require "skynet"
require "skynet.manager"

local held = {}
local command = {}

function command.echo(...) return ... end
function command.fail(text) error(text or "failed on purpose") end
function command.raise(t) error(t) end
function command.sleep(cs, ...) skynet.sleep(cs) return ... end
function command.hang() skynet.wait({}) end
function command.mqlen() return skynet.mqlen() end
function command.task() return skynet.task() end
function command.context() return skynet.context() end
function command.exit() skynet.exit() end
function command.released() return held.released and held.released("TEST") end
function command.tag() return skynet.tracetag() end
function command.deep(address) return skynet.call(address, "lua", "fail", "deep down") end

skynet.register_protocol { name = "bytes", id = 50, pack = function(s) return s end, unpack = skynet.tostring }
skynet.register_protocol { name = "text", id = skynet.PTYPE_TEXT, pack = function(...) return ... end, unpack = skynet.tostring }

skynet.start(function()
  skynet.dispatch("lua", function(session, source, name, ...)
    if name == "later" then
      held[#held + 1] = skynet.response()
    elseif name == "answer" then
      local r = table.remove(held, 1)
      skynet.retpack(r(...))
    elseif name == "test" then
      skynet.retpack(held[1]("TEST"))
    elseif name == "ignored" then
      skynet.ignoreret()
    elseif name == "nothing" then
      return
    elseif name == "twice" then
      skynet.retpack("once")
      skynet.retpack("twice")
    elseif name == "post" then
      skynet.send(source, "lua", ...)
    elseif name == "forward" then
      skynet.redirect((...), source, "lua", session, skynet.pack(select(2, ...)))
      skynet.ignoreret()
    else
      skynet.ret(skynet.pack(command[name](...)))
    end
  end)
  skynet.dispatch("bytes", function(_, _, s) skynet.ret(s:upper()) end)
  skynet.dispatch("text", function(_, _, s) skynet.ret("text " .. s) end)
end)
