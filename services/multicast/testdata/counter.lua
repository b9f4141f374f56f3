-- Counts what it hears.
local multicast = require "skynet.multicast"
local M, count = {}, 0
function M.new() return multicast.new().channel end
function M.listen(_, number)
  multicast.new({ channel = number, dispatch = function(_, _, text, n) count = count + 1 end }):subscribe()
end
function M.publish(_, number, n)
  local c = multicast.new { channel = number }
  for i = 1, n do c:publish("some text", i) end
end
function M.count() return count end
return M
