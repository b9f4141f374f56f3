-- What a script does with documents, for as often as it is told.
local skynet = require "skynet"
local store = require "store"

local M = {}

function M.load(_, n, docs)
  for i = 1, n do
    assert(store.load("player", "p" .. i % docs, { fresh = true }))
  end
  return true
end

local function of(opened)
  if opened then
    return store.open("player", "p0")
  end
  return { name = "Somebody", stats = { stat_7 = 7 } }
end

function M.read(_, n, opened)
  local p = of(opened)
  local sum = 0
  for _ = 1, n do
    sum = sum + p.stats.stat_7
  end
  return sum
end

function M.write(_, n, opened)
  local p = of(opened)
  for i = 1, n do
    p.stats.stat_7 = i
  end
  return p.stats.stat_7
end

return M
