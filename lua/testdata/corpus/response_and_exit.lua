-- Answers that are kept: given from a timer, from another handler, and what becomes of them when their service ends.
local skynet = require "skynet"
require "skynet.manager"
local tools = require "lib.tools"

local mode = ...

if mode == "keeper" then
  skynet.start(function()
    local kept = {}
    skynet.dispatch("lua", function(_, source, command, ...)
      if command == "keep" then
        kept[#kept + 1] = skynet.response()
      elseif command == "answer then exit" then
        for i, r in ipairs(kept) do r(true, "bye", i, source) end
        skynet.response()(true, #kept)
        skynet.exit()
      elseif command == "exit" then
        skynet.exit()
      elseif command == "exit in a while" then
        local r = skynet.response()
        skynet.timeout(10, function()
          r(true, "answered before the end")
          skynet.exit()
        end)
      elseif command == "as text" then
        local r = skynet.response(function(...) return skynet.packstring("packed", ...) end)
        skynet.fork(r, true, 1, nil, 3)
      end
    end)
  end)
  return
end

local function keeper() return skynet.newservice(SERVICE_NAME, "keeper") end

local function waiting(service, n)
  local got = {}
  for _ = 1, n do
    skynet.fork(function()
      local ok, a, b = pcall(skynet.call, service, "lua", "keep")
      got[#got + 1] = ok and { a, b } or a
    end)
  end
  skynet.sleep(1)
  assert(#got == 0)
  return got
end

skynet.start(function()
  local k = keeper()
  local got = waiting(k, 3)
  assert(skynet.call(k, "lua", "answer then exit") == 3)
  tools.eventually(function() return #got == 3 end)
  local sum = 0
  for _, answer in ipairs(got) do
    assert(answer[1] == "bye")
    sum = sum + answer[2]
  end
  assert(sum == 6)

  k = keeper()
  got = waiting(k, 4)
  tools.fails("", skynet.call, k, "lua", "exit")
  tools.eventually(function() return #got == 4 end)
  for _, err in ipairs(got) do assert(err.code == "stopped", err.code) end

  k = keeper()
  got = waiting(k, 2)
  assert(skynet.call(k, "lua", "exit in a while") == "answered before the end")
  tools.eventually(function() return #got == 2 end)
  tools.fails("", skynet.call, k, "lua", "keep")

  k = keeper()
  got = waiting(k, 2)
  local what, a, b, c = skynet.call(k, "lua", "as text")
  assert(what == "packed" and a == 1 and b == nil and c == 3)
  skynet.kill(k)
  tools.eventually(function() return #got == 2 end)
  print "ok"
end)
