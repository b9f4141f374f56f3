-- skynet.term: a battle server is given up by hand. All that waits for it fails, and what it says later is for nobody.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "battle" then
  skynet.start(function()
    tools.serve {
      fight = function(rounds)
        skynet.sleep(rounds)
        return "won after " .. rounds
      end,
    }
  end)
  return
end

skynet.start(function()
  local battle, other = skynet.newservice(SERVICE_NAME, "battle"), skynet.newservice(SERVICE_NAME, "battle")
  local results = {}
  for i = 1, 3 do
    skynet.fork(function() results[i] = { pcall(skynet.call, battle, "lua", "fight", 50) } end)
  end
  skynet.fork(function() results.other = { pcall(skynet.call, other, "lua", "fight", 50) } end)
  local selected = {}
  skynet.fork(function()
    for req, resp in skynet.request { battle, "lua", "fight", 60, name = "first" } { other, "lua", "fight", 60, name = "second" }:select() do
      selected[req.name] = resp and resp[1] or "failed"
    end
    selected.done = true
  end)
  skynet.sleep(10)
  assert(next(results) == nil)

  skynet.term(battle)
  tools.eventually(function() return results[1] and results[2] and results[3] end)
  for i = 1, 3 do assert(results[i][1] == false) end
  assert(not results.other)
  tools.eventually(function() return selected.done end)
  assert(selected.first == "failed" and selected.second == "won after 60")
  assert(results.other[1] and results.other[2] == "won after 50")

  -- It was not ended: it goes on for those who ask again.
  assert(skynet.call(battle, "lua", "fight", 1) == "won after 1")
  skynet.term(0x7ffffff)
  print "ok"
end)
