local skynet = require "skynet"

local recipes = { nail = 1 }

function response.forge(what, n)
  if not recipes[what] then error("no such recipe: " .. what) end
  return n * recipes[what]
end

function accept.rest(cs) skynet.sleep(cs) end
