-- A service by which a test uses the module skynet.socketchannel. Requests and answers are lines; in session mode "session text".
local skynet = require "skynet"
local socket = require "skynet.socket"
local socketchannel = require "skynet.socketchannel"

local M = {}

local function line(sock)
  local text = sock:readline()
  if text == "bad" then return false, "a bad answer" end
  if text == "broken" then error("a broken answer", 0) end
  local more = text:match("^more (.*)$")
  return true, more or text, more ~= nil
end

local function by_session(sock)
  local session, kind, text = sock:readline():match("^(%d+) (%a+) ?(.*)$")
  if session == "0" then error("no session", 0) end
  return tonumber(session), kind ~= "bad", text, kind == "more"
end

-- What an answer or an error is as text.
local function result(ok, data)
  if not ok then
    if data == socketchannel.error then return "socket error " .. tostring(data) end
    return "error " .. tostring(data)
  end
  if type(data) == "table" then return table.concat(data, "+") end
  return data
end

function M.start(self) self.log, self.results, self.auths = {}, {}, 0 end

-- Makes the channel. what: session, auth ("ok", "fail", "fail once", "move", "lose"), overload.
function M.make(self, port, what, backup, other)
  local desc = { host = "127.0.0.1", port = port, nodelay = true, backup = backup }
  if what.session then desc.response = by_session end
  if what.auth then
    desc.auth = function(channel)
      self.auths = self.auths + 1
      local answer
      if what.session then
        answer = channel:request("1 login\n", 1)
      else
        answer = channel:request("login\n", line)
      end
      self.log[#self.log + 1] = answer
      if what.auth == "fail" or what.auth == "fail once" and self.auths == 1 then error("not today", 0) end
      if what.auth == "move" and self.auths == 1 then channel:changehost("127.0.0.1", other) end
      if what.auth == "lose" then
        channel:changehost("127.0.0.1", other)
        channel:request("login\n", line)
      end
    end
  end
  if what.overload then
    desc.overload = function(is) self.log[#self.log + 1] = tostring(is) end
  end
  self.channel = socketchannel.channel(desc)
end

function M.log(self) return table.concat(self.log, " ") end
function M.auths(self) return self.auths end

function M.connect(self, once)
  return result(pcall(self.channel.connect, self.channel, once))
end

-- A request in order mode, or with a session.
function M.request(self, text, session, padding)
  return result(pcall(self.channel.request, self.channel, text .. "\n", session or line, padding))
end

function M.response(self, session)
  return result(pcall(self.channel.response, self.channel, session or line))
end

function M.tell(self, text)
  return select("#", self.channel:request(text .. "\n"))
end

-- A request in a coroutine of its own.
function M.ask(self, ...)
  local n, args = #self.results + 1, { ... }
  self.results[n] = {}
  skynet.fork(function()
    self.results[n].text = M.request(self, table.unpack(args))
    skynet.wakeup(self.results[n])
  end)
  return n
end

function M.answer(self, n)
  local one = self.results[n]
  if not one.text then skynet.wait(one) end
  return one.text
end

function M.answered(self, n) return self.results[n].text ~= nil end

function M.big(self, bytes) self.channel:request(string.rep("x", bytes) .. "\n") end
function M.close(self) self.channel:close() end
function M.changehost(self, port) self.channel:changehost("127.0.0.1", port) end
function M.changebackup(self, backup) self.channel:changebackup(backup) end
function M.sockets() return #socket.netstat() end

return M
