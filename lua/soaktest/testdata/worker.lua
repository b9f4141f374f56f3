-- One of many services: it answers, fails, waits, asks others, answers later or never.
local skynet = require "skynet"
local CMD, SILENT = {}, {}
local lock = require "skynet.queue" ()
local kept, id = {}, 0

function CMD.echo(...) return ... end

function CMD.fail(text) error(text) end

function CMD.refuse(code) error({ code = code, message = "on purpose" }) end

function CMD.broken() local none return none.field end

function CMD.ask(other, depth)
  if depth == 0 then return 0 end
  return skynet.call(other, "lua", "ask", skynet.self(), depth - 1) + 1
end

function CMD.nap() skynet.sleep(1) return "rested" end

function CMD.locked(n) return lock(function() skynet.yield() return n end) end

function CMD.crowd(n)
  local left, sum, done = n, 0, {}
  for i = 1, n do
    skynet.fork(function()
      skynet.sleep(0)
      sum, left = sum + i, left - 1
      if left == 0 then skynet.wakeup(done) end
    end)
  end
  skynet.wait(done)
  return sum
end

function CMD.keys(n)
  for _ = 1, n do
    id = id + 1
    kept[id] = { id = id, name = "n" .. id }
    kept["n" .. id] = id
    kept[id - 50], kept["n" .. (id - 50)] = nil, nil
  end
  return n
end

function CMD.text(n)
  local s = ("hello world "):rep(n)
  return #table.concat({ (s:gsub("o", "00")), s })
end

function SILENT.later()
  local answer = skynet.response()
  skynet.timeout(1, function() answer(true, "later") end)
end

function SILENT.never() skynet.response() end

function SILENT.leave() skynet.exit() end

skynet.start(function()
  skynet.dispatch("lua", function(session, _, cmd, ...)
    if SILENT[cmd] then return SILENT[cmd](...) end
    local f = assert(CMD[cmd], cmd)
    if session == 0 then f(...) else skynet.ret(skynet.pack(f(...))) end
  end)
end)
