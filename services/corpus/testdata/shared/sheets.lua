-- datasheet: numbers of a game's balance, which follow the builder's updates in whoever holds them.
local skynet = require "skynet"
local builder = require "skynet.datasheet.builder"
local datasheet = require "skynet.datasheet"
local tools = require "lib.tools"

local mode = ...

if mode == "monster" then
  skynet.start(function()
    local sheet = datasheet.query "monsters"
    local wolf = sheet.wolf
    tools.serve {
      wolf = function() return wolf.health, sheet.wolf.health, wolf.loot[1] end,
      names = function()
        local names = {}
        for name in pairs(sheet) do names[#names + 1] = name end
        table.sort(names)
        return table.concat(names, " ")
      end,
    }
  end)
  return
end

skynet.start(function()
  builder.new("monsters", { wolf = { health = 30, loot = { "fur" } }, bear = { health = 80, loot = {} } })
  local m = skynet.newservice(SERVICE_NAME, "monster")
  local a, b, loot = skynet.call(m, "lua", "wolf")
  assert(a == 30 and b == 30 and loot == "fur")
  builder.update("monsters", { wolf = { health = 35, loot = { "tooth" } }, bear = { health = 80, loot = {} }, rat = { health = 2, loot = {} } })
  tools.eventually(function() return skynet.call(m, "lua", "wolf") == 35 end)
  a, b, loot = skynet.call(m, "lua", "wolf")
  assert(a == 35 and b == 35 and loot == "tooth")
  assert(skynet.call(m, "lua", "names") == "bear rat wolf")
  print "ok"
end)
