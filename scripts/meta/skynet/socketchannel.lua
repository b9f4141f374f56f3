---@meta skynet.socketchannel

---One connection that many coroutines use, which is opened again when it breaks.
---@class skynet.socketchannel
local socketchannel = {}

---@class skynet.socketchannel.config
---@field host string
---@field port? integer
---@field backup? (string|{ host: string, port: integer })[] where else to connect
---@field auth? fun(channel: skynet.socketchannel.channel) runs on each new connection
---@field response? fun(sock: table): any, boolean, any reads one answer: its session, whether all is well, the answer. Without it answers come in the order of requests
---@field nodelay? boolean
---@field overload? fun(on: boolean) called when too much waits to be sent, and when that is over

---@class skynet.socketchannel.channel
local channel = {}

---Opens the connection, if it is not; once: do not try again.
---@param once? boolean
---@return boolean
function channel:connect(once) end

---Sends a request and waits for its answer; without response, for none.
---@param request string
---@param response? fun(sock: table): boolean, any|any a function that reads the answer, or the session
---@param padding? string[] more to send behind the request, when there is time
---@return any
function channel:request(request, response, padding) end

---Waits for an answer without a request.
---@param response fun(sock: table): boolean, any|any
---@return any
function channel:response(response) end

---Closes the connection; requests that wait get an error.
function channel:close() end

---Connects elsewhere from now on.
---@param host string
---@param port? integer
function channel:changehost(host, port) end

---Sets where else to connect.
---@param backup table
function channel:changebackup(backup) end

---Makes a channel; it connects with the first request.
---@param desc skynet.socketchannel.config
---@return skynet.socketchannel.channel
function socketchannel.channel(desc) end

---What a request raises when its connection is gone.
---@type table
socketchannel.error = {}

return socketchannel
