-- Services of functions of a test, which stand in for others.
local skynet = require "skynet"
local core = require "skua.test.core"
local calls = require "skua.test.calls"

local standins = {}

-- The mocks that are there, by their numbers. Those of a test end with it.
local mocks = {}
local last = 0
local scope = "file"

function standins.mock(name, handlers)
  if type(handlers) ~= "table" then error("mock: a table of handlers is expected, got " .. type(handlers), 2) end
  last = last + 1
  local mock = { calls = {} }
  local own = {}
  for command, f in pairs(handlers) do
    own[command] = calls.spy(f)
    if command == "calls" or command == "address" then error("mock: no handler can have the name " .. command, 2) end
    mock[command] = own[command]
  end
  mock.address = core.mock(last, name)
  mocks[last] = { name = name, object = mock, handlers = own, scope = scope }
  return mock
end

-- Handles a message to a mock.
function standins.handle(session, id, command, ...)
  local mock = mocks[id]
  if not mock then error("the mock has ended", 0) end
  local list = mock.object.calls
  list[#list + 1] = { n = select("#", ...) + 1, command, ... }
  local f = mock.handlers[command]
  if not f then error("the mock of " .. mock.name .. " has no handler " .. tostring(command), 0) end
  if session == 0 then f(...) return end
  skynet.retpack(f(...))
end

-- From now on mocks are of one test.
function standins.begin()
  scope = "test"
end

-- Ends the mocks of the test.
function standins.clear()
  scope = "file"
  for id, mock in pairs(mocks) do
    if mock.scope == "test" then
      mocks[id] = nil
      core.unmock(id)
    end
  end
end

return standins
