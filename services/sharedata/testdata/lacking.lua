local m = require "items_that_are_not_there"
return m
