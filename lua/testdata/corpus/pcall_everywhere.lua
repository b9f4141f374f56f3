-- pcall and xpcall around all that can wait or fail.
-- expect: on purpose
-- expect: no such table
-- expect: nothing to start
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "db" then
  skynet.start(function()
    tools.serve {
      get = function(id)
        skynet.sleep(1)
        if id < 0 then error("no such table " .. id) end
        return id * 2
      end,
      typed = function(code) error({ code = code, detail = { 1, 2 } }) end,
    }
  end)
  return
elseif mode == "broken" then
  skynet.start(function() skynet.sleep(1) error("nothing to start") end)
  return
end

skynet.start(function()
  local db = skynet.newservice(SERVICE_NAME, "db")

  assert(select("#", pcall(skynet.sleep, 1)) == 1)
  local ok, v = pcall(skynet.call, db, "lua", "get", 21)
  assert(ok and v == 42)
  ok, v = pcall(skynet.call, db, "lua", "get", -1)
  assert(not ok and string.find(tostring(v), "no such table -1", 1, true))
  ok, v = pcall(skynet.call, db, "lua", "typed", "E42")
  assert(not ok and v.code == "E42" and v.detail[2] == 2)

  -- Nested, each level of which waits before and behind.
  local function level(n)
    skynet.sleep(1)
    if n == 0 then error({ reached = true }) end
    local fine, err = pcall(level, n - 1)
    skynet.sleep(1)
    assert(not fine)
    err.levels = (err.levels or 0) + 1
    error(err)
  end
  ok, v = pcall(level, 6)
  assert(not ok and v.reached and v.levels == 6)

  -- xpcall's handler sees the place of the error, and what it gives is what xpcall does.
  local function deep() skynet.sleep(1) local t = nil; return t.field end
  local seen
  ok, v = xpcall(deep, function(e)
    seen = debug.traceback(e, 2)
    return { wrapped = e }
  end)
  assert(not ok and string.find(v.wrapped, "pcall_everywhere.lua", 1, true) and string.find(seen, "traceback", 1, true))
  ok, v = xpcall(function(...) skynet.sleep(1) return select("#", ...), ... end, debug.traceback, nil, 2)
  assert(ok and v == 2)
  ok, v = xpcall(function() return skynet.call(db, "lua", "get", -2) end, function(e) return "caught: " .. tostring(e) end)
  assert(not ok and string.find(v, "caught:.*no such table %-2"))

  -- What can't be done is an error, and the service goes on.
  assert(not pcall(skynet.newservice, SERVICE_NAME, "broken"))
  assert(not pcall(skynet.newservice, "no_such_script"))
  assert(not pcall(skynet.call, db, "no such type"))
  assert(not pcall(skynet.call, db, "lua", "get", function() end))
  assert(not pcall(skynet.send, {}, "lua"))
  assert(not pcall(skynet.timeout, "soon", print))
  assert(not pcall(skynet.fork, 5))
  assert(not pcall(skynet.ret))

  -- In a loop, with the error as a value that decides.
  local tries = 0
  local function again(f, ...)
    while true do
      tries = tries + 1
      local fine, result = pcall(f, ...)
      if fine then return result end
      skynet.sleep(2 ^ tries)
    end
  end
  assert(again(function()
    skynet.sleep(1)
    if tries < 4 then error("not yet") end
    return "at last"
  end) == "at last" and tries == 4)

  -- A handler whose error nobody catches.
  skynet.dispatch("lua", function() error("on purpose") end)
  ok, v = pcall(skynet.call, skynet.self(), "lua")
  assert(not ok and string.find(tostring(v), "on purpose", 1, true))
  skynet.send(skynet.self(), "lua")
  skynet.sleep(1)
  print "ok"
end)
