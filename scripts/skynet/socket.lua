-- skynet.socket: TCP and UDP. The network and the buffers are in Go (skynet.socketdriver); this file gives them Skynet's shape. The functions that wait are
-- open, read, readline, readall, block, resolve, close while another coroutine reads, and all that take a host by name.
local skynet = require "skynet"
local driver = require "skynet.socketdriver"

local socket = {
  -- A connection to a host: socket.open(host, port) or socket.open("host:port") gives its id, or nil and why not.
  open = driver.open,
  -- Makes a socket this service's own, whoever's it was, and begins to read; a listener's connections go to func(id, address). Gives the id, or nil and why not.
  start = driver.start,
  -- Gives a socket up, for another service to start. What came meanwhile is for that one.
  abandon = driver.abandon,
  -- Closes a socket of this service when all that was written is out; close_fd is for one that this service has not started.
  close = driver.close,
  close_fd = driver.close_fd,
  -- Ends a connection at once. What came can still be read; close has to follow.
  shutdown = driver.shutdown,

  -- read(id, n) gives n bytes, read(id) what there is; readline(id, sep) what is before the next sep ("\n"). At the end of the connection: false and the rest.
  read = driver.read,
  readline = driver.readline,
  -- All that comes until the end of the connection; false if that was there already and nothing is left.
  readall = driver.readall,
  -- Waits until there is something to read: true; false at the end.
  block = driver.block,
  -- Reads nothing from the peer until this service reads the socket again.
  pause = driver.pause,

  -- write(id, text or list of texts) never waits; false if the socket is closed. lwrite's texts go out when no others wait. Any service may write.
  write = driver.send,
  lwrite = driver.lsend,
  -- The number in 1 to 4 bytes, the highest first.
  header = driver.header,

  -- Closes the socket when more than so many bytes are unread.
  limit = driver.limit,
  -- func(id, KiB) hears when a megabyte waits to be written, at each doubling, and with 0 when nothing waits any more.
  warning = driver.warning,
  -- func(id) hears when the connection has ended.
  onclose = driver.onclose,
  -- Whether the socket is not one of this service; and, for one that is, whether the peer has gone.
  invalid = driver.invalid,
  disconnected = driver.disconnected,

  -- Sends text to an address as the function of a UDP socket gets it; udp_address gives its host and port.
  sendto = driver.udp_send,
  udp_address = driver.udp_address,
}

-- Who has locked a socket and who waits for that, by its id.
local locks = {}

-- Has others who lock the socket wait until it is unlocked.
function socket.lock(id)
  if socket.invalid(id) then error("socket.lock: socket " .. tostring(id) .. " is not one of this service", 2) end
  local waiting = locks[id]
  if not waiting then
    locks[id] = {}
    return
  end
  local token = {}
  waiting[#waiting + 1] = token
  skynet.wait(token)
end

-- Gives the lock to who has waited longest.
function socket.unlock(id)
  local waiting = locks[id]
  if not waiting then error("socket.unlock: socket " .. tostring(id) .. " is not locked", 2) end
  local token = table.remove(waiting, 1)
  if token then
    skynet.wakeup(token)
  else
    locks[id] = nil
  end
end

-- What the network refuses is an error here where Skynet has one.
local function check(ok, ...)
  if not ok then error((...), 3) end
  return ok, ...
end

-- Opens a listener: socket.listen(host, port) or socket.listen("host:port") gives its id, address and port. socket.start accepts.
function socket.listen(host, port)
  return check(driver.listen(host, port))
end

-- A UDP socket whose datagrams go to callback(text, from). Without host and port it can send first.
function socket.udp(callback, host, port)
  return (check(driver.udp(callback, host, port)))
end

-- A UDP socket that listens.
function socket.udp_listen(host, port, callback)
  return (check(driver.udp(callback, host, port)))
end

-- A UDP socket whose writes go to one address.
function socket.udp_dial(host, port, callback)
  return (check(driver.udp_dial(host, port, callback)))
end

-- Has writes to a UDP socket go to one address.
function socket.udp_connect(id, host, port, callback)
  check(driver.udp_connect(id, host, port, callback))
end

-- The addresses of a host.
function socket.resolve(host)
  return (check(driver.resolve(host)))
end

-- A list of all sockets of the node: id, type, address (the service), sock, peer, accept, read, write, wbuffer, rbuffer, rtime, wtime, reading, writing.
function socket.netstat()
  return driver.info(skynet.now())
end

function socket.bind()
  error("socket.bind: a script gets no file descriptors of the node", 2)
end

function socket.stdin()
  error("socket.stdin: the node's standard input is not for scripts", 2)
end

return socket
