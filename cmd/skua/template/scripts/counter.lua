-- A service that all players share. It returns a table of handlers; each gets the service's state and the arguments of the call.
local M = {}

function M.start(self)
  self.total = 0
end

-- Adds n and gives the new total.
function M.add(self, n)
  if math.type(n) ~= "integer" then
    error("an integer is expected, got " .. tostring(n))
  end
  self.total = self.total + n
  return self.total
end

function M.get(self)
  return self.total
end

return M
