-- A pipeline of services with back pressure: each stage takes a few pieces at a time, so that a slow one slows those before it down and nothing piles up.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, stage, below, pause = ...

local work = {
  double = function(n) return n * 2 end,
  odd = function(n) if n % 4 == 0 then return n + 1 end end,
  text = function(n) return "item " .. n end,
}

if mode == "stage" then
  skynet.start(function()
    local inside, most, passed = 0, 0, 0
    skynet.dispatch("lua", function(_, _, command, v)
      if command == "figures" then return skynet.retpack(most, passed) end
      inside = inside + 1
      most = math.max(most, inside)
      skynet.sleep(pause)
      local result = work[stage](v)
      if result ~= nil then
        passed = passed + 1
        if below then skynet.call(below, "lua", "put", result) end
      end
      inside = inside - 1
      skynet.retpack(result ~= nil)
    end)
  end)
  return
elseif mode == "sink" then
  skynet.start(function()
    local got = {}
    tools.serve { put = function(v) got[#got + 1] = v end, got = function() return got end }
  end)
  return
end

skynet.start(function()
  local sink = skynet.newservice(SERVICE_NAME, "sink")
  local text = skynet.newservice(SERVICE_NAME, "stage", "text", sink, 3)
  local odd = skynet.newservice(SERVICE_NAME, "stage", "odd", text, 1)
  local double = skynet.newservice(SERVICE_NAME, "stage", "double", odd, 0)
  local n, done = 0, 0
  for _ = 1, 3 do
    skynet.fork(function()
      while n < 60 do
        n = n + 1
        skynet.call(double, "lua", "put", n)
      end
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 3 end)
  local got = skynet.call(sink, "lua", "got")
  assert(#got == 30)
  local seen = {}
  for _, v in ipairs(got) do seen[v] = true end
  for i = 2, 60, 2 do assert(seen["item " .. 2 * i + 1]) end
  for _, s in ipairs { text, odd, double } do
    local most, passed = skynet.call(s, "lua", "figures")
    assert(most <= 3 and passed == (s == double and 60 or 30))
  end
  print "ok"
end)
