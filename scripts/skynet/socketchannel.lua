-- skynet.socketchannel: one connection for many coroutines. Requests go out as they come, and each coroutine gets its own answer: in the order of the requests
-- (order mode), or by a session that the answer names (session mode, when the channel has a `response` function). A connection that breaks is an error for
-- all who wait on it, and the next request makes a new one.
local skynet = require "skynet"
local socket = require "skynet.socket"
local driver = require "skynet.socketdriver"

local socketchannel = {}

-- What is raised when the connection is gone and nobody has said more.
local failure = setmetatable({}, { __tostring = function() return "[Error: socket]" end })
socketchannel.error = failure

-- A link is one connection of a channel: link[1] is its id. Answers are read from it with link:read(n) and link:readline(sep), which raise an error at its end.
-- What waits for an answer belongs to its link, so that an old one may end in its own time while a new one is in use.
local link_methods = {}
local link_meta = { __index = link_methods }

local function raising(f)
  return function(link, ...)
    local data = f(link[1], ...)
    if not data then error(failure, 0) end
    return data
  end
end

link_methods.read = raising(socket.read)
link_methods.readline = raising(socket.readline)

-- Ends a wait: ok and data are what the function that reads answers has returned.
local function finish(item, ok, data)
  item.ok, item.data = ok, data
  skynet.wakeup(item)
end

-- Ends a link and all waits for it. reason is nil, or what was raised while an answer was read.
local function break_link(link, reason)
  if link.broken then return end
  link.broken = true
  local channel = link.channel
  if channel.link == link then channel.link = false end
  if reason == failure then reason = nil end
  local waiting = { link.current }
  for i = link.first, link.last do waiting[#waiting + 1] = link.queue[i] end
  for _, item in pairs(link.sessions) do waiting[#waiting + 1] = item end
  link.current, link.queue, link.first, link.last, link.sessions = nil, {}, 1, 0, {}
  for _, item in ipairs(waiting) do
    item.broken = true
    finish(item, false, reason)
  end
  if link.idle then skynet.wakeup(link) end
  pcall(socket.close, link[1])
end

-- Has no more requests go over a link; what was asked over it may still be answered.
local function retire(link)
  if link.channel.link == link then link.channel.link = false end
  if link.idle then break_link(link) end
end

local function keep_part(item, data)
  local parts = item.parts
  if not parts then
    parts = {}
    item.parts = parts
  end
  parts[#parts + 1] = data
end

-- Whole is the data of an answer that may have come in parts.
local function whole(item, ok, data)
  if not ok or not item.parts then return data end
  keep_part(item, data)
  return item.parts
end

-- Reads one answer in order mode.
local function read_answer(item, link)
  while true do
    local ok, data, padding = item.answer(link)
    if not (ok and padding) then return ok, whole(item, ok, data) end
    keep_part(item, data)
  end
end

local function serve_in_order(link)
  while not link.broken do
    local item = link.queue[link.first]
    if item then
      link.queue[link.first] = nil
      link.first = link.first + 1
      link.current = item
      local ok, result, data = pcall(read_answer, item, link)
      if not ok then
        break_link(link, result)
      elseif link.current == item then
        link.current = nil
        finish(item, result, data)
      end
    elseif link.channel.link ~= link then
      break_link(link) -- it was retired, and has answered all
    else
      link.idle = true
      skynet.wait(link)
      link.idle = false
    end
  end
end

local function serve_by_session(link)
  local response = link.channel.response_function
  while not link.broken do
    local ok, session, result, data, padding = pcall(response, link)
    if not ok or session == nil then
      break_link(link, session)
      return
    end
    local item = link.sessions[session]
    if not item then
      skynet.error("socket: unknown session : " .. tostring(session))
    elseif result and padding then
      keep_part(item, data)
    else
      link.sessions[session] = nil
      finish(item, result, whole(item, result, data))
    end
  end
end

-- Hears how much waits to be written.
local function watch_overload(channel, link)
  local overload = channel.overload
  local function heard(id, size)
    if channel.link ~= link then return end
    if size == 0 and channel.overloaded then
      channel.overloaded = false
      overload(false)
    elseif size > 0 and not channel.overloaded then
      channel.overloaded = true
      overload(true)
    elseif size > 0 then
      skynet.error(string.format("WARNING: %d K bytes need to send out (fd = %d %s:%s)", size, id, channel.host, channel.port))
    end
  end
  socket.warning(link[1], heard)
  skynet.fork(heard, link[1], 0) -- the overload was of the connection before
end

local function new_link(channel, id)
  local link = setmetatable({
    id, channel = channel, queue = {}, first = 1, last = 0, sessions = {}, broken = false, idle = false,
  }, link_meta)
  channel.link = link
  if channel.nodelay then driver.nodelay(id) end
  if channel.overload then watch_overload(channel, link) end
  if channel.response_function then
    skynet.fork(serve_by_session, link)
  else
    -- A connection that ends while nothing is asked has nobody who reads it.
    socket.onclose(id, function() if link.idle then break_link(link) end end)
    skynet.fork(serve_in_order, link)
  end
  return link
end

-- The addresses to try: the present one, the backups, and the one that the channel was made with or changed to.
local function addresses(channel)
  local list, seen = {}, {}
  local function add(host, port)
    local key = host .. ":" .. port
    if not seen[key] then
      seen[key] = true
      list[#list + 1] = { host = host, port = port, key = key }
    end
  end
  add(channel.host, channel.port)
  for _, backup in ipairs(channel.backup or {}) do
    if type(backup) == "table" then
      add(backup.host, backup.port or channel.port)
    else
      add(backup, channel.port)
    end
  end
  add(channel.own_host, channel.own_port)
  return list
end

-- Logs in. Gives whether the link may be used; nil when the function has changed the host, so that another one is needed.
local function log_in(channel, link)
  if not channel.auth then return true end
  channel.authing = coroutine.running()
  local ok, message = pcall(channel.auth, channel)
  channel.authing = false
  if not ok then
    if message ~= failure then skynet.error("socket: auth failed " .. tostring(message)) end
    break_link(link, message)
    return false, message
  end
  if channel.link ~= link then return nil end
  return true
end

-- Tries each address once: true, or false and why not.
local function connect_once(channel)
  local tried, reason = {}, nil
  local function try(address)
    tried[address.key] = true
    local id, err = socket.open(address.host, address.port)
    if not id then
      reason = err
      return false
    end
    if channel.closed then
      socket.close(id)
      return false
    end
    channel.host, channel.port = address.host, address.port
    local ok, message = log_in(channel, new_link(channel, id))
    if ok == false then reason = message end
    return ok
  end
  local first = true
  while not channel.closed do
    local next_address
    for _, address in ipairs(addresses(channel)) do -- again each time: auth may have changed the backups
      if not tried[address.key] then
        next_address = address
        break
      end
    end
    if not next_address then break end
    if not first then skynet.error("socket: connect to backup host " .. next_address.key) end
    first = false
    local ok = try(next_address)
    if ok then return true end
    if ok == nil then -- the host was changed
      if channel.redirects >= 16 then return false, "auth has changed the host too often" end
      channel.redirects = channel.redirects + 1
      tried, first = {}, true
    end
  end
  return false, reason
end

-- Connects, until it works unless it is to be tried once. Gives why it did not.
local function connect(channel, once)
  local pause = 0
  while not channel.closed do
    channel.redirects = 0
    local ok, reason = connect_once(channel)
    if ok then
      if not once then skynet.error("socket: connect to " .. channel.host .. ":" .. channel.port) end
      return
    end
    if once then return reason end
    skynet.error("socket: connect " .. tostring(reason))
    if pause > 1000 then skynet.error("socket: try to reconnect " .. channel.host .. ":" .. channel.port) end
    skynet.sleep(pause)
    pause = pause > 1000 and 100 or pause + 100
  end
end

-- Whether the channel can be used by this coroutine; nil if it has to be connected first.
local function usable(channel)
  local link = channel.link
  if link then
    if socket.disconnected(link[1]) ~= false then
      skynet.error("socket: disconnect detected " .. channel.host .. ":" .. channel.port)
      retire(link)
    elseif not channel.authing or channel.authing == coroutine.running() then
      return true
    end
  end
  if channel.closed then return false end
end

-- Waits until the channel can be used; raises the error otherwise.
local function ensure(channel, once)
  local ok = usable(channel)
  if ok == nil and channel.authing and channel.authing == coroutine.running() then
    error(failure, 0) -- auth has lost its own connection: nobody else will make one meanwhile
  end
  if ok == nil then
    local reason
    if channel.connecting then
      local token = {}
      channel.connecting[#channel.connecting + 1] = token
      skynet.wait(token)
    else
      channel.connecting = {}
      local done, raised = pcall(connect, channel, once)
      reason = raised
      local waiting = channel.connecting
      channel.connecting = false
      for _, token in ipairs(waiting) do skynet.wakeup(token) end
      if not done then error(raised, 0) end
    end
    ok = usable(channel)
    if ok == nil then
      skynet.error(string.format("Connect to %s:%s failed (%s)", channel.host, channel.port, tostring(reason)))
    end
  end
  if not ok then error(failure, 0) end
  return channel.link
end

local methods = {}

-- Connects: true, or an error. With once it tries each address once, else until one works.
function methods:connect(once)
  self.closed = false
  ensure(self, once)
  return true
end

-- Has nobody take the answer of another.
local function check_session(link, answer)
  if link.channel.response_function and answer ~= nil and link.sessions[answer] then
    error("socketchannel: session " .. tostring(answer) .. " is in use", 3)
  end
end

local function await(link, answer)
  local item = { answer = answer }
  if link.channel.response_function then
    link.sessions[answer] = item
  else
    link.last = link.last + 1
    link.queue[link.last] = item
    if link.idle then skynet.wakeup(link) end
  end
  skynet.wait(item)
  if item.ok then return item.data end
  if item.broken and item.data == nil then error(failure, 0) end
  error(item.data, 0)
end

-- Sends a request, and gives its answer unless the last but one argument is nil: in order mode that is the function(sock) that reads it and returns whether it is
-- well, the data, and whether more is to come; in session mode it is the session. padding is a list of further texts of the request, which may go out later.
function methods:request(request, response, padding)
  local link = ensure(self, true)
  check_session(link, response)
  local ok
  if padding then
    ok = socket.lwrite(link[1], request)
    for _, part in ipairs(padding) do ok = ok and socket.lwrite(link[1], part) end
  else
    ok = socket.write(link[1], request)
  end
  if not ok then
    break_link(link)
    error(failure, 0)
  end
  if response == nil then return end
  return await(link, response)
end

-- Waits for an answer without a request: a function or a session, as for request.
function methods:response(response)
  local link = ensure(self)
  check_session(link, response)
  return await(link, response)
end

-- Ends the connection; all who wait get the error. connect begins anew.
function methods:close()
  if self.closed then return end
  self.closed = true
  if self.link then break_link(self.link, "channel_closed") end
end

-- Another host from now on.
function methods:changehost(host, port)
  self.host, self.port = host, port or self.port
  self.own_host, self.own_port = self.host, self.port
  if not self.closed and self.link then break_link(self.link) end
end

-- The hosts to try when the present one fails: names, or tables with host and port.
function methods:changebackup(backup)
  self.backup = backup
end

local channel_meta = { __index = methods }

-- Makes a channel: host, port, and if wanted backup, auth(channel), response(sock), nodelay, overload(is_overloaded).
function socketchannel.channel(desc)
  if not desc.host or not desc.port then error("socketchannel.channel: host and port are expected", 2) end
  return setmetatable({
    host = desc.host, port = desc.port, own_host = desc.host, own_port = desc.port, backup = desc.backup, auth = desc.auth,
    response_function = desc.response, nodelay = desc.nodelay, overload = desc.overload,
    link = false, closed = false, authing = false, connecting = false, overloaded = false, redirects = 0,
  }, channel_meta)
end

return socketchannel
