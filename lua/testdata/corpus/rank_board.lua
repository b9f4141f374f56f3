-- A leader board: many updates, sorted reads with ties in the order of time, pages, and a season's end between them.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "board" then
  skynet.start(function()
    local by_name, list, dirty, stamp = {}, {}, false, 0
    local function sorted()
      if dirty then
        table.sort(list, function(a, b)
          if a.score ~= b.score then return a.score > b.score end
          return a.stamp < b.stamp
        end)
        for i, e in ipairs(list) do e.rank = i end
        dirty = false
      end
      return list
    end
    tools.serve {
      add = function(name, points)
        local e = by_name[name]
        if not e then
          e = { name = name, score = 0 }
          by_name[name] = e
          list[#list + 1] = e
        end
        stamp = stamp + 1
        e.score, e.stamp, dirty = e.score + points, stamp, true
        return e.score
      end,
      page = function(from, count)
        local page = {}
        for i = from, math.min(from + count - 1, #sorted()) do page[#page + 1] = list[i].name .. "=" .. list[i].score end
        return page, #list
      end,
      rank = function(name)
        sorted()
        return by_name[name] and by_name[name].rank
      end,
      season = function()
        local winner = sorted()[1]
        by_name, list, dirty = {}, {}, false
        return winner and winner.name
      end,
    }
  end)
  return
end

skynet.start(function()
  local board = skynet.newservice(SERVICE_NAME, "board")
  local function call(...) return skynet.call(board, "lua", ...) end
  assert(call("season") == nil)
  for round = 1, 5 do
    for i = 1, 60 do call("add", "p" .. i, (i * 7 + round * 13) % 50) end
  end
  local page, total = call("page", 1, 60)
  assert(total == 60 and #page == 60)
  local last = math.huge
  for i, entry in ipairs(page) do
    local name, score = string.match(entry, "^(p%d+)=(%d+)$")
    assert(tonumber(score) <= last)
    last = tonumber(score)
    assert(call("rank", name) == i)
  end
  assert(#call("page", 55, 20) == 6 and #call("page", 61, 5) == 0 and call("rank", "nobody") == nil)

  call("season")
  call("add", "late", 10)
  call("add", "early", 5)
  call("add", "early", 5)
  call("add", "alone", 11)
  assert(tools.equal((call("page", 1, 3)), { "alone=11", "late=10", "early=10" }), "who had it first is first")
  -- Updates and reads at once: every page is of one moment.
  local done = 0
  for i = 1, 20 do
    skynet.fork(function()
      call("add", "late", 1)
      local now = call("page", 1, 3)
      assert(#now == 3)
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 20 end)
  assert(call("season") == "late" and #call("page", 1, 9) == 0)
  print "ok"
end)
