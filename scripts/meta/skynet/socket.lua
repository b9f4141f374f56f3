---@meta skynet.socket

---TCP and UDP. A read waits, and lets the service handle other messages. A socket belongs to the service that has started it.
---@class skynet.socket
local socket = {}

---Listens for TCP connections, which the function given to socket.start gets.
---@param host string address, or "address:port"
---@param port? integer
---@return integer id
---@return string address
---@return integer port
function socket.listen(host, port) end

---Takes a socket over: a listener with the function that gets new connections, or a connection.
---@param id integer
---@param accept? fun(id: integer, address: string)
---@return integer? id
---@return string? error
function socket.start(id, accept) end

---Connects, and waits for that.
---@param host string address, or "address:port"
---@param port? integer
---@return integer? id
---@return string? error
function socket.open(host, port) end

---Reads sz bytes, or without sz what is there. False, and what is there, when the other side has closed before.
---@param id integer
---@param sz? integer
---@return string|false
---@return string? rest
function socket.read(id, sz) end

---Reads a line without its end. False, and what is there, when the other side has closed before.
---@param id integer
---@param sep? string default "\n"
---@return string|false
---@return string? rest
function socket.readline(id, sep) end

---Reads until the other side closes.
---@param id integer
---@return string|false
function socket.readall(id) end

---Waits until there is something to read; false if the other side has closed.
---@param id integer
---@return boolean
function socket.block(id) end

---Reads nothing from the other side until this service reads the socket again.
---@param id integer
function socket.pause(id) end

---Sends, behind what was sent before. It does not wait.
---@param id integer
---@param text string|string[]
---@return boolean
function socket.write(id, text) end

---Sends when nothing else is to be sent.
---@param id integer
---@param text string|string[]
---@return boolean
function socket.lwrite(id, text) end

---Closes, behind what was sent, and waits for that.
---@param id integer
function socket.close(id) end

---Closes a socket that this service has not started.
---@param id integer
function socket.close_fd(id) end

---Ends a connection at once. What came can still be read; close has to follow.
---@param id integer
function socket.shutdown(id) end

---Bytes that may wait to be read; a socket with more is closed.
---@param id integer
---@param limit integer
function socket.limit(id, limit) end

---Sets what is called when a megabyte waits to be sent, at each doubling, and with 0 when nothing waits any more.
---@param id integer
---@param callback? fun(id: integer, kilobytes: integer)
function socket.warning(id, callback) end

---Sets what is called when the socket is closed.
---@param id integer
---@param callback? fun(id: integer)
function socket.onclose(id, callback) end

---Lets go of a socket, so that another service can start it.
---@param id integer
function socket.abandon(id) end

---Has others who lock the socket wait until it is unlocked.
---@param id integer
function socket.lock(id) end

---Gives the lock to who has waited longest.
---@param id integer
function socket.unlock(id) end

---The number that a header of bytes, most significant first, stands for.
---@param header string
---@return integer
function socket.header(header) end

---Whether there is no such socket here.
---@param id integer
---@return boolean
function socket.invalid(id) end

---Whether the other side has closed.
---@param id integer
---@return boolean
function socket.disconnected(id) end

---What the node's sockets are: type, address, bytes, times.
---@return table[]
function socket.netstat() end

---Opens a UDP socket; callback gets what arrives.
---@param callback fun(text: string, from: string)
---@param host? string
---@param port? integer
---@return integer id
function socket.udp(callback, host, port) end

---Opens a UDP socket that listens.
---@param host string
---@param port integer
---@param callback fun(text: string, from: string)
---@return integer id
function socket.udp_listen(host, port, callback) end

---Opens a UDP socket whose writes go to one address.
---@param host string
---@param port integer
---@param callback fun(text: string, from: string)
---@return integer id
function socket.udp_dial(host, port, callback) end

---Has the writes to a UDP socket go to one address.
---@param id integer
---@param host string
---@param port integer
---@param callback? fun(text: string, from: string)
function socket.udp_connect(id, host, port, callback) end

---The host and port of an address as the callback of a UDP socket gets it.
---@param from string
---@return string host
---@return integer port
function socket.udp_address(from) end

---Sends a datagram; from is what the callback got.
---@param id integer
---@param from string
---@param text string
---@return boolean
function socket.sendto(id, from, text) end

---The addresses of a host, whose name is looked up; it waits.
---@param host string
---@return string[]
function socket.resolve(host) end

---An error: a script gets no file descriptors of the node.
---@param fd integer
---@deprecated
function socket.bind(fd) end

---An error: the node's standard input is not for scripts.
---@deprecated
function socket.stdin() end

return socket
