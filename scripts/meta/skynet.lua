---@meta skynet

---The verbs of a service. Times are in 1/100 s.
---@class skynet
local skynet = {}

---The address of a service: a number, its printed form (":0000000a") or its name ("name" or ".name").
---@alias skynet.address integer|string

---The type of a message: the name of a protocol, or its number (skynet.PTYPE_*).
---@alias skynet.type string|integer

---What a call that failed raises. tostring gives the message and the tracebacks of both sides.
---@class skynet.failure
---@field code "no_actor"|"stopped"|"unreachable"|"failed"|"deadline"|"overloaded"|"cycle"|"error" why
---@field message string
---@field traceback string of the other side, "" if there is none

---A packed message: the bytes, which stay on Skua's side, and their number.
---@class skynet.packed: userdata

---@class skynet.protocol
---@field name string
---@field id integer from 0 to 255; those below 64 are the runtime's
---@field pack? fun(...): any
---@field unpack? fun(...): any
---@field dispatch? fun(session: integer, source: integer, ...)

---Calls to several services at a time.
---@class skynet.requests
local requests = {}

---Adds a call: { address, typename, ... }; token is what tells it apart in the results.
---@param call table
---@param token? any
---@return skynet.requests
function requests:add(call, token) end

---Sends the calls and walks over their answers as they arrive. Those that are not there when the time is over are left out.
---@param timeout? integer in 1/100 s; default none
---@return fun(): table?, table? request and answer
function requests:select(timeout) end

---Closes the iteration early.
function requests:close() end

skynet.PTYPE_TEXT = 0
skynet.PTYPE_RESPONSE = 1
skynet.PTYPE_MULTICAST = 2
skynet.PTYPE_CLIENT = 3
skynet.PTYPE_SYSTEM = 4
skynet.PTYPE_HARBOR = 5
skynet.PTYPE_SOCKET = 6
skynet.PTYPE_ERROR = 7
skynet.PTYPE_QUEUE = 8
skynet.PTYPE_DEBUG = 9
skynet.PTYPE_LUA = 10
skynet.PTYPE_SNAX = 11
skynet.PTYPE_TRACE = 12

---The codecache of Skynet: clear(), mode(). Scripts are compiled once and shared anyhow.
---@class skynet.cache
skynet.cache = {}

---Runs func as the service's first coroutine, when its script has been loaded. The service is ready when func has returned.
---@param func fun()
function skynet.start(func) end

---Runs func before the function given to skynet.start; in a coroutine of a running service, at once.
---@param func fun()
function skynet.init(func) end

---Runs start as skynet.start would, and tells whoever started the service when it has returned. For libraries.
---@param start fun()
function skynet.init_service(start) end

---Ends the service: callers that wait get an error, coroutines are closed. It does not return.
function skynet.exit() end

---Starts a service and waits until its start function has returned; that one's error is raised here.
---@param name string
---@param ... any its arguments
---@return integer address
function skynet.newservice(name, ...) end

---Starts a service that is there once; all who ask get the same.
---@param global true|string true is for one of the whole cluster, in front of the name
---@param ... any
---@return integer address
function skynet.uniqueservice(global, ...) end

---Waits for a unique service that somebody else starts.
---@param global true|string true is for one of the whole cluster, in front of the name
---@param ... any
---@return integer address
function skynet.queryservice(global, ...) end

---Sends a message and does not wait.
---@param address skynet.address
---@param typename skynet.type
---@param ... any
---@return integer? session
function skynet.send(address, typename, ...) end

---Sends a request and waits for its answer, at most for the node's lua.call_timeout or what is left of the caller's own deadline. Raises a skynet.failure, or the table that
---the other side raised.
---@param address skynet.address
---@param typename skynet.type
---@param ... any
---@return any ...
function skynet.call(address, typename, ...) end

---skynet.call with a timeout of its own.
---@param cs number timeout in 1/100 s
---@param address skynet.address
---@param typename skynet.type
---@param ... any
---@return any ...
function skynet.call_timeout(cs, address, typename, ...) end

---skynet.send of a message that is packed already.
---@param address skynet.address
---@param typename skynet.type
---@param msg any
---@param sz? integer
---@return integer? session
function skynet.rawsend(address, typename, msg, sz) end

---skynet.call with a message that is packed already; the answer is not unpacked.
---@param address skynet.address
---@param typename skynet.type
---@param msg any
---@param sz? integer
---@return any msg
---@return integer? sz
function skynet.rawcall(address, typename, msg, sz) end

---Sends a message in the name of another service.
---@param dest skynet.address
---@param source skynet.address
---@param typename skynet.type
---@param session integer 0 for a message that wants no answer
---@param msg? any
---@param sz? integer
function skynet.redirect(dest, source, typename, session, msg, sz) end

---Answers the request in hand with a packed message.
---@param msg? any what skynet.pack gave
---@param sz? integer
---@return boolean sent false if nobody waits any more
function skynet.ret(msg, sz) end

---skynet.ret(skynet.pack(...)).
---@param ... any
---@return boolean sent
function skynet.retpack(...) end

---Gives a function that answers the request in hand later: r(true, ...), r(false, message), or r("TEST") whether somebody still waits.
---@param pack? fun(...): any
---@return fun(ok: boolean|"TEST", ...): boolean
function skynet.response(pack) end

---Leaves the request in hand without an answer, and without a complaint about that.
function skynet.ignoreret() end

---The session and the source of the message in hand.
---@return integer session
---@return integer source
function skynet.context() end

---Calls to several services at a time: skynet.request { address, typename, ... }:select(timeout).
---@param ... table calls, each { address, typename, ... }
---@return skynet.requests
function skynet.request(...) end

---A new session number.
---@return integer
function skynet.genid() end

---Sets the handler of a type of messages, and gives the one before it; without func, the present one.
---@param typename skynet.type
---@param func? fun(session: integer, source: integer, ...)
---@return function?
function skynet.dispatch(typename, func) end

---Defines a type of messages.
---@param class skynet.protocol
function skynet.register_protocol(class) end

---Handles a message as if it had come in. For libraries.
---@param ... any
function skynet.dispatch_message(...) end

---Sets what is called for requests of a type that has no handler, and gives the function before it.
---@param unknown fun(session: integer, source: integer, msg: any, sz: integer, prototype: integer)
---@return function?
function skynet.dispatch_unknown_request(unknown) end

---Sets what is called for answers that nobody waits for, and gives the function before it.
---@param unknown fun(session: integer, source: integer, msg: any, sz: integer)
---@return function?
function skynet.dispatch_unknown_response(unknown) end

---Packs values into a message. Functions, coroutines and tables that contain themselves are an error.
---@param ... any
---@return skynet.packed msg
---@return integer sz
function skynet.pack(...) end

---Packs values into a string.
---@param ... any
---@return string
function skynet.packstring(...) end

---The values of a packed message or string.
---@param msg skynet.packed|string
---@param sz? integer
---@return any ...
function skynet.unpack(msg, sz) end

---The bytes of a packed message as a string.
---@param msg skynet.packed
---@param sz? integer
---@return string
function skynet.tostring(msg, sz) end

---Frees a packed message in Skynet. Here the collector does that.
---@param msg skynet.packed
---@param sz? integer
function skynet.trash(msg, sz) end

---Runs a function in a coroutine of its own, after the present message.
---@param func fun(...)
---@param ... any
---@return thread
function skynet.fork(func, ...) end

---Runs a function later.
---@param cs number in 1/100 s
---@param func fun()
---@return thread
function skynet.timeout(cs, func) end

---Lets time pass.
---@param cs number in 1/100 s
---@param token? any what skynet.wakeup may name; default the coroutine
---@return "BREAK"? ended it was woken early
function skynet.sleep(cs, token) end

---Lets other messages be handled: skynet.sleep(0).
---@return "BREAK"?
function skynet.yield() end

---Waits until skynet.wakeup names the token.
---@param token? any default the coroutine
function skynet.wait(token) end

---Ends a skynet.sleep or skynet.wait.
---@param token any
---@return boolean? woken true if somebody slept or waited under that token
function skynet.wakeup(token) end

---Stops a coroutine of this service; who called it gets an error.
---@param thread thread|string the coroutine, or what its printed name begins with
---@return thread? stopped
function skynet.killthread(thread) end

---The address of this service.
---@return integer
function skynet.self() end

---The printed form of an address.
---@param address skynet.address
---@return string
function skynet.address(address) end

---The address of a local name, nil if there is none.
---@param name string
---@return integer?
function skynet.localname(name) end

---The number of the node that an address is of, and whether that is another one.
---@param address skynet.address
---@return integer harbor
---@return boolean remote
function skynet.harbor(address) end

---A variable of the node.
---@param key string
---@return string?
function skynet.getenv(key) end

---Sets a variable of the node, which can be done once.
---@param key string
---@param value any
function skynet.setenv(key, value) end

---Time since the node started, in 1/100 s.
---@return integer
function skynet.now() end

---When the node started, in seconds since 1970.
---@return integer
function skynet.starttime() end

---Seconds since 1970, with 1/100 s.
---@return number
function skynet.time() end

---A counter of ns.
---@return integer
function skynet.hpc() end

---Writes a line to the log.
---@param ... any
function skynet.error(...) end

---Messages that wait for this service.
---@return integer
function skynet.mqlen() end

---A figure of this service.
---@param what "cpu"|"message"|"time"|"endless"|"mqlen"
---@return number|boolean
function skynet.stat(what) end

---Whether this service is thought to be in an endless loop.
---@return boolean
function skynet.endless() end

---The coroutines that wait: their number, or with a table that is filled, their stacks.
---@param ret? table|thread|integer|"init"
---@return any
function skynet.task(ret) end

---The coroutines that wait, those with the same stack together.
---@return table<string, table>
function skynet.uniqtask() end

---Treats an address as dead: who waits for it in this service gets an error.
---@param address skynet.address
function skynet.term(address) end

---Sets what answers the operator's `info`.
---@param func fun(...): any
function skynet.info_func(func) end

---Starts a trace of the request in hand.
---@param info? string
function skynet.trace(info) end

---The tag of the trace that the request in hand is part of.
---@return string?
function skynet.tracetag() end

---skynet.call as part of a trace.
---@param tag string
---@param address skynet.address
---@param typename skynet.type
---@param msg any
---@param sz? integer
---@return any ...
function skynet.tracecall(tag, address, typename, msg, sz) end

---Writes a line to a trace.
---@param tag string
---@param info string
function skynet.tracelog(tag, info) end

---Traces all requests of a type, or stops to.
---@param prototype skynet.type
---@param flag? boolean
function skynet.traceproto(prototype, flag) end

---Keeps where timers were made, for skynet.task.
---@param on boolean
function skynet.trace_timeout(on) end

---The most memory that this service's VM may take, in bytes. Once, before skynet.start.
---@param bytes integer
function skynet.memlimit(bytes) end

---pcall: waits work in that, too.
---@param func function
---@param ... any
---@return boolean ok
---@return any ...
function skynet.pcall(func, ...) end

return skynet
