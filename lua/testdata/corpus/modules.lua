-- require: modules of the project with a state of their own in each service, that wait while they are made, fail, or require each other.
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "user" then
  local settings = require "mods.settings" -- it waits, at the top level of the script
  skynet.start(function()
    tools.serve {
      set = function(k, v) settings[k] = v end,
      get = function(k) return settings[k] end,
      same = function() return require("mods.settings") == settings end,
    }
  end)
  return
end

skynet.start(function()
  local a, b = skynet.newservice(SERVICE_NAME, "user"), skynet.newservice(SERVICE_NAME, "user")
  skynet.call(a, "lua", "set", "color", "red")
  assert(skynet.call(a, "lua", "get", "color") == "red" and skynet.call(b, "lua", "get", "color") == nil)
  assert(skynet.call(a, "lua", "get", "loaded_at") ~= nil and skynet.call(a, "lua", "same"))

  -- Who requires a module that is being made waits for it, and gets the same.
  local seen = {}
  for i = 1, 5 do skynet.fork(function() seen[i] = require "mods.settings" end) end
  tools.eventually(function() return seen[5] end)
  for i = 1, 5 do assert(seen[i] == seen[1] and seen[i].times == 1) end

  -- A module that fails can be required again, and fails again.
  tools.fails("no such weather", require, "mods.stormy")
  tools.fails("no such weather", require, "mods.stormy")
  tools.fails("requires itself", require, "mods.circle")
  tools.fails("mods.nowhere", require, "mods.nowhere")
  tools.fails("mods/typo.lua", require, "mods.typo")
  for _, name in ipairs { "../secret", "/etc/passwd", "..", "mods/../../x" } do assert(not pcall(require, name), name) end

  -- What a module gives: anything but nil, which is true; false is asked again.
  assert(require "mods.nothing" == true and package.loaded["mods.nothing"] == true)
  package.loaded["mods.mock"] = { mocked = true }
  assert(require("mods.mock").mocked)
  assert(require "mods.folder" == "folder/init.lua" and require "skynet" == skynet)
  print "ok"
end)
