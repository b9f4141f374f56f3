---@meta gate

---The sessions of clients.
---@class gate
local gate = {}

---How a push is delivered. Without one: reliably, which is once and in the order sent.
---@class gate.delivery
---@field class? "reliable"|"latest"|"droppable" While a client is behind or away, of latest ones only the newest of a route and key is kept, and droppable ones are dropped.
---@field key? string|integer tells apart, for latest, what does not replace each other: at most 64 bytes

---A set of sessions that get the same pushes. A session that ends leaves it by itself.
---@class gate.group
local group = {}

---Takes a session in, and tells whether it was not in yet; false, too, for one that is gone.
---@param session integer
---@return boolean added
function group:add(session) end

---Takes a session out, and tells whether it was in.
---@param session integer
---@return boolean removed
function group:remove(session) end

---Sends to all that are in. It encodes once and does not wait.
---@param route string
---@param body? any
---@param delivery? gate.delivery
function group:push(route, body, delivery) end

---How many sessions are in.
---@return integer
function group:count() end

---Takes all sessions out. Nothing can be added or pushed any more.
function group:close() end

---Makes an empty group.
---@return gate.group
function gate.group() end

---Sends to a client, or to each of a list. It does not wait, and passes over sessions that are gone.
---@param session integer|integer[]
---@param route string
---@param body? any
---@param delivery? gate.delivery
function gate.push(session, route, body, delivery) end

---Sends to a player by its uid, at any gate of any node; to nobody if the player is not in. It does not wait.
---@param uid string
---@param route string
---@param body? any
---@param delivery? gate.delivery
function gate.push_to(uid, route, body, delivery) end

---Whether a player is in, at any gate of any node. It waits for the nodes' answers.
---@param uid string
---@return boolean
function gate.online(uid) end

---Ends a client's session with a reason that it is told.
---@param session integer
---@param code string
---@param message? string
function gate.kick(session, code, message) end

return gate
