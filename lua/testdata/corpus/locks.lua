-- Locks that scripts make of wait and wakeup: a semaphore, a lock for many readers or one writer, a barrier.
local skynet = require "skynet"
local tools = require "lib.tools"

local function semaphore(free)
  local waiting = {}
  return {
    enter = function()
      if free > 0 then
        free = free - 1
        return
      end
      local token = {}
      waiting[#waiting + 1] = token
      skynet.wait(token) -- who leaves hands its place over
    end,
    leave = function()
      local token = table.remove(waiting, 1)
      if token then skynet.wakeup(token) else free = free + 1 end
    end,
    waiting = function() return #waiting end,
  }
end

local function rwlock()
  local readers, writing, queue = 0, false, {}
  local function admit()
    while queue[1] do
      local first = queue[1]
      if first.writes then
        if readers > 0 or writing then return end
        writing = true
      else
        if writing then return end
        readers = readers + 1
      end
      table.remove(queue, 1)
      first.admitted = true
      skynet.wakeup(first)
    end
  end
  local function enter(writes)
    local me = { writes = writes }
    queue[#queue + 1] = me
    admit()
    if not me.admitted then skynet.wait(me) end
  end
  return {
    read = function(f)
      enter(false)
      local v = f()
      readers = readers - 1
      admit()
      return v
    end,
    write = function(f)
      enter(true)
      local v = f()
      writing = false
      admit()
      return v
    end,
  }
end

local function barrier(n)
  local waiting = {}
  return function()
    if #waiting == n - 1 then
      for _, token in ipairs(waiting) do skynet.wakeup(token) end
      waiting = {}
      return true
    end
    local token = {}
    waiting[#waiting + 1] = token
    skynet.wait(token)
    return false
  end
end

skynet.start(function()
  local s, inside, most, done = semaphore(3), 0, 0, 0
  for i = 1, 20 do
    skynet.fork(function()
      s.enter()
      inside = inside + 1
      most = math.max(most, inside)
      skynet.sleep(i % 4 + 1)
      inside = inside - 1
      s.leave()
      done = done + 1
    end)
  end
  skynet.sleep(0)
  assert(inside == 3 and s.waiting() == 17)
  tools.eventually(function() return done == 20 end)
  assert(most == 3 and inside == 0)

  local lock, value, reading, together, finished = rwlock(), 0, 0, 0, 0
  for i = 1, 30 do
    skynet.fork(function()
      skynet.sleep(i % 5)
      if i % 6 == 0 then
        lock.write(function()
          assert(reading == 0)
          local before = value
          skynet.sleep(3)
          assert(value == before)
          value = before + 1
        end)
      else
        lock.read(function()
          reading = reading + 1
          together = math.max(together, reading)
          local before = value
          skynet.sleep(2)
          assert(value == before)
          reading = reading - 1
        end)
      end
      finished = finished + 1
    end)
  end
  tools.eventually(function() return finished == 30 end)
  assert(value == 5 and together > 1)

  local meet, round, last, ended = barrier(4), { 0, 0, 0, 0 }, 0, 0
  for i = 1, 4 do
    skynet.fork(function()
      for r = 1, 3 do
        skynet.sleep(i * r % 3)
        round[i] = r
        if meet() then last = last + 1 end
        for j = 1, 4 do assert(round[j] >= r) end
      end
      ended = ended + 1
    end)
  end
  tools.eventually(function() return ended == 4 end)
  assert(last == 3)
  print "ok"
end)
