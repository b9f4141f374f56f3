local skynet = require "skynet"
local snax = require "skynet.snax"
local prices = require "prices" -- snax/shop/prices.lua

local stock

function init(first)
  skynet.sleep(10)
  stock = first
end

function response.buy(thing)
  if (stock[thing] or 0) == 0 then return nil end
  stock[thing] = stock[thing] - 1
  return stock[thing]
end

for thing, price in pairs(prices.list) do
  response["price_of_" .. thing] = function() return price end
end

function response.self() return snax.self().handle end

function response.close(why)
  skynet.timeout(5, function() snax.exit(why) end)
  return true
end

function exit(why)
  assert(why == "stock sold" and SERVICE_NAME == "snax/shop")
  assert(prices.discount(10) == 9)
end
