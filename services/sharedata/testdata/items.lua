-- A file that makes a table: it has arguments, and modules beside it.
local factor, name = ...
local prices = require "prices"
local rows = {}
for i, p in ipairs(prices) do rows[1000 + i] = { id = 1000 + i, price = p * factor } end
return { name = name, rows = rows }
