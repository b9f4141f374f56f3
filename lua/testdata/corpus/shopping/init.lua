local skynet = require "skynet"
local prices = require "prices"
local tools = require "lib.tools"

assert(SERVICE_PATH == "shopping/")

skynet.start(function()
  tools.serve {
    price = function(what) return prices.of(what) end,
    later = function() return require("later").name, require("shopping.later").name end,
    same = function() return require "prices" == require "shopping.prices" end,
  }
end)
