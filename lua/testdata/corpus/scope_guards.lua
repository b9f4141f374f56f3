-- Lua 5.4 in services: locks that are released by <close> whatever happens, goto, integer division, bits, string.pack of a client's packets.
-- only: lua54
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

-- A packet: length, id of 64 bits, flags, name, position.
local layout <const> = ">I2 i8 B s1 f f"

if mode == "session" then
  skynet.start(function()
    local held, log = {}, {}
    local function hold(name)
      while held[name] do skynet.sleep(1) end
      held[name] = true
      return setmetatable({}, { __close = function(_, err)
        held[name] = nil
        log[#log + 1] = name .. (err and " failed" or " done")
      end })
    end
    tools.serve {
      packet = function(text)
        local size, id, flags, name, x, y = string.unpack(layout, text)
        if size ~= #text then error("bad length " .. size) end
        local guard <close> = hold(name)
        skynet.sleep(2)
        if flags & 0x80 ~= 0 then error({ flags = flags }) end
        return id, flags >> 4, flags & 0xf, x // 1, y // 1
      end,
      log = function() return log, next(held) == nil end,
    }
  end)
  return
end

local function packet(id, flags, name, x, y)
  local body = string.pack(layout, 0, id, flags, name, x, y)
  return string.pack(">I2", #body) .. body:sub(3)
end

skynet.start(function()
  local session = skynet.newservice(SERVICE_NAME, "session")
  local id, high, low, x, y = skynet.call(session, "lua", "packet", packet(math.mininteger, 0x35, "ann", 7.75, -0.5))
  assert(id == math.mininteger and high == 3 and low == 5 and x == 7.0 and y == -1.0 and math.type(id) == "integer")
  assert(tools.fails("", skynet.call, session, "lua", "packet", packet(1, 0x80, "bob", 0, 0)).flags == 128)
  local done = 0
  for i = 1, 6 do
    skynet.fork(function()
      local ok = pcall(skynet.call, session, "lua", "packet", packet(i, i % 2 == 0 and 0x81 or 1, "cat", i, i))
      assert(ok == (i % 2 == 1))
      done = done + 1
    end)
  end
  tools.eventually(function() return done == 6 end)
  local log, free = skynet.call(session, "lua", "log")
  assert(free and #log == 8 and log[1] == "ann done" and log[2] == "bob failed")
  local failed = 0
  for _, line in ipairs(log) do
    if not line:find("failed") then goto continue end
    failed = failed + 1
    ::continue::
  end
  assert(failed == 4)

  -- A loop over requests that is left early.
  local late = 0
  for req in skynet.request { session, "lua", "log" } { session, "lua", "log" }:select() do
    late = late + 1
    break
  end
  assert(late == 1)
  assert(utf8.len("héllo") == 5 and #table.move({ 1, 2, 3 }, 2, 3, 1) == 3 and 7 // 2 == 3 and 7 // 2.0 == 3.0 and 3 | 4 == 7)
  print "ok"
end)
