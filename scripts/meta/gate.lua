---@meta gate

---The sessions of clients.
---@class gate
local gate = {}

---Sends to a client, or to each of a list. It does not wait, and passes over sessions that are gone.
---@param session integer|integer[]
---@param route string
---@param body? any
function gate.push(session, route, body) end

---Closes a client's session with a reason that it is told.
---@param session integer
---@param code string
---@param message? string
function gate.kick(session, code, message) end

return gate
