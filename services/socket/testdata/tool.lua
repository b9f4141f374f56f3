-- A service by which a test uses the module skynet.socket.
local skynet = require "skynet"
local socket = require "skynet.socket"

local M = {}

function M.start(self)
  self.results, self.events, self.waiting = {}, {}, {}
end

-- Calls a function of the module.
function M.call(_, name, ...)
  return socket[name](...)
end

-- Gives the number of bytes that a function of the module gives as text.
function M.count(_, name, ...)
  return #socket[name](...)
end

-- Calls a function of the module in a coroutine of its own; M.result waits for its end.
function M.fork(self, name, ...)
  local n, args = #self.results + 1, { n = select("#", ...), ... }
  local result = {}
  self.results[n] = result
  skynet.fork(function()
    local function keep(...)
      result.n = select("#", ...)
      for i = 1, result.n do result[i] = (select(i, ...)) end
    end
    keep(pcall(socket[name], table.unpack(args, 1, args.n)))
    skynet.wakeup(result)
  end)
  return n
end

-- Gives what pcall of the function gave.
function M.result(self, n)
  local result = self.results[n]
  if not result.n then skynet.wait(result) end
  return table.unpack(result, 1, result.n)
end

function M.done(self, n)
  return self.results[n].n ~= nil
end

local function happened(self, ...)
  self.events[#self.events + 1] = { n = select("#", ...), ... }
  skynet.wakeup(self.waiting)
end

-- Waits for the next event: accept, warning, closed or datagram, and what belongs to it.
function M.event(self)
  while #self.events == 0 do skynet.wait(self.waiting) end
  local event = table.remove(self.events, 1)
  return table.unpack(event, 1, event.n)
end

function M.events(self)
  return #self.events
end

function M.accept(self, id)
  return socket.start(id, function(new, address)
    happened(self, "accept", new, address)
  end)
end

function M.watch(self, id)
  socket.onclose(id, function(...) happened(self, "closed", ...) end)
  socket.warning(id, function(...) happened(self, "warning", ...) end)
end

local function datagrams(self)
  return function(text, from) happened(self, "datagram", text, from) end
end

function M.udp(self, ...)
  return socket.udp(datagrams(self), ...)
end

function M.udp_listen(self, host, port)
  return socket.udp_listen(host, port, datagrams(self))
end

function M.udp_dial(self, host, port)
  return socket.udp_dial(host, port, datagrams(self))
end

function M.udp_connect(self, id, host, port)
  socket.udp_connect(id, host, port, datagrams(self))
end

function M.udp_start(self, id)
  return socket.start(id, datagrams(self))
end

-- Writes so many bytes.
function M.fill(_, id, bytes)
  return socket.write(id, string.rep("x", bytes))
end

-- What netstat tells of a socket.
function M.stat(_, id, ...)
  for _, one in ipairs(socket.netstat()) do
    if one.id == id then
      local values = {}
      for i, name in ipairs({ ... }) do values[i] = one[name] end
      return table.unpack(values, 1, select("#", ...))
    end
  end
  return "none"
end

function M.me() return skynet.self() end

function M.now() return skynet.now() end

function M.exit() skynet.exit() end

return M
