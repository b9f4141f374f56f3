-- Coroutines of the script's own that do not wait: generators, a parser fed by pieces, a round-robin of quests.
local skynet = require "skynet"

local function drops(seed)
  return coroutine.wrap(function()
    local x = seed
    for i = 1, 5 do
      x = (x * 16807) % 2147483647
      coroutine.yield(i, x % 6 + 1)
    end
  end)
end

local function lines()
  local rest, out = "", {}
  local co = coroutine.create(function()
    while true do
      local at = string.find(rest, "\n", 1, true)
      if at then
        out[#out + 1] = string.sub(rest, 1, at - 1)
        rest = string.sub(rest, at + 1)
      else
        rest = rest .. coroutine.yield(#out)
      end
    end
  end)
  assert(coroutine.resume(co))
  return function(piece)
    local ok, n = coroutine.resume(co, piece)
    assert(ok)
    return n
  end, out
end

local function quest(steps, log, name)
  return coroutine.create(function()
    for i = 1, steps do
      log[#log + 1] = name .. i
      coroutine.yield()
    end
    return name
  end)
end

skynet.start(function()
  local sum, count = 0, 0
  for i, face in drops(7) do
    count = i
    sum = sum + face
  end
  assert(count == 5 and sum >= 5 and sum <= 30)

  local feed, out = lines()
  assert(feed("he") == 0 and feed("llo\nwor") == 1 and feed("ld\n\nend\n") == 4)
  assert(table.concat(out, "|") == "hello|world||end")

  local log, finished = {}, {}
  local quests = { quest(2, log, "a"), quest(1, log, "b"), quest(3, log, "c") }
  while #quests > 0 do
    for i = #quests, 1, -1 do
      local ok, name = coroutine.resume(quests[i])
      assert(ok)
      if coroutine.status(quests[i]) == "dead" then
        finished[#finished + 1] = name
        table.remove(quests, i)
      end
    end
    skynet.sleep(1) -- the handler waits, the coroutines stay as they are
  end
  assert(table.concat(log, " ") == "c1 b1 a1 c2 a2 c3", table.concat(log, " "))
  assert(table.concat(finished, " ") == "b a c")

  local co = coroutine.create(function() error({ code = 5 }) end)
  local ok, err = coroutine.resume(co)
  assert(not ok and err.code == 5 and coroutine.status(co) == "dead")
  ok, err = coroutine.resume(co)
  assert(not ok and string.find(err, "dead", 1, true))
  local w = coroutine.wrap(function() local x = nil; return x.y end)
  ok, err = pcall(w)
  assert(not ok and string.find(tostring(err), "plain_coroutines.lua", 1, true))

  local inner = coroutine.wrap(function(a)
    local nested = coroutine.wrap(function(b)
      local c = coroutine.yield(b + 1)
      return c * 2
    end)
    local first = nested(a)
    local x = coroutine.yield(first)
    return nested(x)
  end)
  assert(inner(1) == 2 and inner(21) == 42)
  assert(coroutine.running() ~= nil)
  print "ok"
end)
