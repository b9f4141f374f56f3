---@meta skynet.snax

---Services that are a set of functions: `function response.name(...)` is called with obj.req.name(...), `function accept.name(...)` with obj.post.name(...).
---@class skynet.snax
local snax = {}

---@class skynet.snax.object
---@field post table<string, fun(...)> messages without an answer
---@field req table<string, fun(...): ...> requests
---@field type string the script
---@field handle integer the address

---Starts a service.
---@param name string
---@param ... any arguments of its init
---@return skynet.snax.object
function snax.newservice(name, ...) end

---Starts a service that is there once in this node.
---@param name string
---@param ... any
---@return skynet.snax.object
function snax.uniqueservice(name, ...) end

---Starts a service that is there once in the cluster.
---@param name string
---@param ... any
---@return skynet.snax.object
function snax.globalservice(name, ...) end

---Waits for a service that uniqueservice starts.
---@param name string
---@return skynet.snax.object
function snax.queryservice(name) end

---Waits for a service that globalservice starts.
---@param name string
---@return skynet.snax.object
function snax.queryglobal(name) end

---Starts a service and gives its address.
---@param name string
---@param ... any
---@return integer
function snax.rawnewservice(name, ...) end

---The object of an address.
---@param handle integer
---@param type string the script
---@return skynet.snax.object
function snax.bind(handle, type) end

---Ends a service; its exit function gets the arguments.
---@param obj skynet.snax.object
---@param ... any
function snax.kill(obj, ...) end

---Gives methods of a service that runs other functions. The text defines them as the script does; what it declares as `local name`, without a value, is the
---script's variable of that name. Its function hotfix gets the arguments. A patch that does not fit is an error and changes nothing.
---@param obj skynet.snax.object
---@param source string
---@param ... any
---@return any ... what hotfix gives
function snax.hotfix(obj, source, ...) end

---The object of this service.
---@return skynet.snax.object
function snax.self() end

---Ends this service.
---@param ... any arguments of its exit function
function snax.exit(...) end

---What a script accepts and responds to: by the names of its methods, what messages of type snax call them.
---@param name string
---@return { name: string, accept: table<string, string>, response: table<string, string>, system: table<string, string> }
function snax.interface(name) end

---Writes a line to the log.
---@param fmt string
---@param ... any
function snax.printf(fmt, ...) end

---Calls of each method, and the seconds that they have computed, waits left out.
---@param obj skynet.snax.object
---@return table<string, { count: integer, time: number }>
function snax.profile_info(obj) end

return snax
