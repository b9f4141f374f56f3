-- sharetable: rules that are loaded once and read everywhere; a service takes the new ones when it calls update, and not before.
local skynet = require "skynet"
local sharetable = require "skynet.sharetable"
local tools = require "lib.tools"

local mode = ...

if mode == "battle" then
  skynet.start(function()
    local rules = sharetable.query "rules"
    local damage = rules.damage
    tools.serve {
      hit = function(kind) return damage[kind] end,
      renew = function() sharetable.update "rules" end,
      level = function(n) return rules.levels[n], #rules.levels end,
    }
  end)
  return
end

skynet.start(function()
  sharetable.loadtable("rules", { damage = { fire = 10, ice = 5 }, levels = { 100, 200, 400 } })
  local a, b = skynet.newservice(SERVICE_NAME, "battle"), skynet.newservice(SERVICE_NAME, "battle")
  assert(skynet.call(a, "lua", "hit", "fire") == 10 and skynet.call(b, "lua", "hit", "ice") == 5)

  sharetable.loadtable("rules", { damage = { fire = 12, ice = 6, storm = 9 }, levels = { 100, 200, 400, 800 } })
  assert(skynet.call(a, "lua", "hit", "fire") == 10, "it has the version that it asked for")
  skynet.call(a, "lua", "renew")
  assert(skynet.call(a, "lua", "hit", "fire") == 12 and skynet.call(a, "lua", "hit", "storm") == 9)
  assert(skynet.call(b, "lua", "hit", "fire") == 10 and skynet.call(b, "lua", "hit", "storm") == nil)
  local last, n = skynet.call(a, "lua", "level", 4)
  assert(last == 800 and n == 4)
  assert(skynet.call(skynet.newservice(SERVICE_NAME, "battle"), "lua", "hit", "fire") == 12)

  sharetable.loadstring("texts", "local lang = ... return { hello = lang == 'de' and 'Hallo' or 'Hello', list = { 1, 2 } }", "de")
  assert(sharetable.query("texts").hello == "Hallo")
  sharetable.loadfile("config/items.lua", "winter")
  local items = sharetable.query "config/items.lua"
  assert(items.potion.heals == 30 and items.season == "winter")
  assert(not pcall(function() items.potion.heals = 1 end))
  local all = sharetable.queryall { "texts", "rules", "nothing" }
  assert(all.texts and all.rules and all.nothing == nil)
  assert(sharetable.query "nothing" == nil)
  tools.fails("sharetable", sharetable.loadtable, "bad", 5)
  assert(not pcall(sharetable.loadtable, "bad", { f = print }))
  assert(not pcall(sharetable.loadstring, "bad", "return {"))
  print "ok"
end)
