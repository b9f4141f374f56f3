-- skynet.stm: a message that one service writes as often as it likes, and others read when they like.
local core = require "skynet.sharedata.core"

local stm = {}

local writer = {
  __call = function(self, ...) core.stm_update(self[1], ...) end,
}

local reader = {
  __call = function(self, f, ...)
    local new, message, size = core.stm_read(self[1])
    if not new then return false end
    return true, f(message, size, ...)
  end,
}

-- Gives a writer, whose first message are the arguments: what skynet.pack returns, or a string. Called with another one, it writes that.
function stm.new(...)
  return setmetatable({ core.stm_new(...) }, writer)
end

-- Gives a number for one reader, which can be sent to the service that is to read.
function stm.copy(obj)
  return core.stm_copy(obj[1])
end

-- Gives the reader of such a number. Called with a function, it returns true and what that makes of the message, its size and any further arguments; or false
-- if there is no other message than when it was called last.
function stm.newcopy(copy)
  return setmetatable({ core.stm_reader(copy) }, reader)
end

return stm
