-- skynet.request: several calls at once, whose answers are taken as they come.
--
--   for req, resp in skynet.request { a, "lua", "get" } { b, "lua", "get" }:select(100) do
--     if resp then use(resp[1]) end
--   end
local core = require "skynet.core"
local skynet = require "skynet"

local unpack = table.unpack or unpack

local selector = {}
selector.__index = selector

local function pack(...) return { n = select("#", ...), ... } end

-- Is called with each answer.
core.arrived(function(self, id, ok, ...)
  if not self._sent[id] then return end
  self._answers[#self._answers + 1] = { id, ok and pack(...) or false, not ok and (...) or nil }
  if self._waits then skynet.wakeup(self) end
end)

-- Adds a call: { address, type, ... }.
function selector:add(request)
  if type(request) ~= "table" then error("skynet.request: a table { address, type, ... } is expected, got " .. type(request), 2) end
  if self._sent then error("skynet.request: select has been called already", 2) end
  self[#self + 1] = request
  return self
end

selector.__call = selector.add

local function send(self)
  self._sent, self._answers, self._open, self._taken = {}, {}, 0, 0
  for i = 1, #self do
    local request = self[i]
    local ok, id = pcall(core.ask, self, request[1], request[2], unpack(request, 3, request.n or #request))
    if ok then
      self._sent[id] = request
      self._open = self._open + 1
    else
      self._answers[#self._answers + 1] = { nil, false, id, request }
    end
  end
end

-- Waits for an answer that has not been taken; false when there can't be one any more.
local function await(self)
  while self._taken == #self._answers do
    if self._open == 0 or self.timeout then return false end
    self._waits = true
    if self._until then
      local left = (self._until - skynet.hpc()) / 1e7
      if left <= 0 or skynet.sleep(left, self) ~= "BREAK" and self._taken == #self._answers then
        self._waits = false
        self.timeout = true
        return false
      end
    else
      skynet.wait(self)
    end
    self._waits = false
  end
  return true
end

local function take(self)
  if not await(self) then return nil end
  self._taken = self._taken + 1
  local answer = self._answers[self._taken]
  self._answers[self._taken] = false
  if answer[4] then return answer[4], nil, answer[3] end
  local request = self._sent[answer[1]]
  self._sent[answer[1]] = nil
  self._open = self._open - 1
  return request, answer[2], answer[3]
end

-- Sends the calls and gives an iterator of request, answer and error: the answer is a table of the values, false if the call failed, nil if it could not be
-- made. cs is the time in 1/100 s for all of them; when it is over, the loop ends and the field timeout is true.
function selector:select(cs)
  if getmetatable(self) ~= selector then error("skynet.request: select is called with a colon: skynet.request(...):select(...)", 2) end
  if self._sent then error("skynet.request: select has been called already", 2) end
  if cs ~= nil then self._until = skynet.hpc() + cs * 1e7 end
  send(self)
  return function() return take(self) end, nil, nil, self
end

-- Gives up what has not been answered.
function selector:close()
  for id in pairs(self._sent or {}) do core.cancel(id) end
  self._sent, self._answers, self._open, self._taken = {}, {}, 0, 0
end

selector.__close = selector.close

local M = {}

function M.request(first)
  local self = setmetatable({}, selector)
  if first then return self:add(first) end
  return self
end

return M
