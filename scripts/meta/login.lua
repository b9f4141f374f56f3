---@meta login

---Who may come in, and with what.
---@class login
local login = {}

---@class login.Ban
---@field reason string
---@field since integer in seconds, as os.time counts
---@field ends integer? nil: never

---@class login.Refusal
---@field code string
---@field msg string

---Shuts a player out and ends its session. It returns when the ban is durable, and raises an error if the database can't be reached; the ban holds nevertheless.
---@param uid string|integer
---@param options? { reason: string?, seconds: number? } without seconds it lasts for ever
---@return boolean
function login.ban(uid, options) end

---Lets a player in again; false if there was no ban.
---@param uid string|integer
---@return boolean
function login.unban(uid) end

---The ban of a player.
---@param uid string|integer
---@return login.Ban?
function login.banned(uid) end

---Takes back all tokens that a player has. Its session goes on.
---@param uid string|integer
---@return boolean
function login.revoke(uid) end

---Takes back one token; false if it has expired.
---@param token string
---@return boolean?
---@return login.Refusal? why it is not valid
function login.revoke_token(token) end

---Makes a token for a player, with which a client logs in as that one.
---@param uid string|integer
---@param name? string
---@param seconds? number its lifetime, at most `login.token_lifetime`
---@return string token
---@return integer expires
function login.issue(uid, name, seconds) end

---What a token says that is good now.
---@param token string
---@return { uid: string, name: string, expires: integer }?
---@return login.Refusal? why it is not
function login.check(token) end

---Gives a player who came in by another way a name and a password to log in with.
---@param uid string|integer
---@param name string
---@param password string
---@return { uid: string, name: string }?
---@return login.Refusal? why not: "denied" if the name is taken
function login.link(uid, name, password) end

---Asks for the maintenance (no argument), ends it (false), or begins it: nobody new gets in.
---@param order? false|{ msg: string?, seconds: number?, except: (string|integer)[]?, kick: boolean? }
---@return { msg: string, ends: integer? }?
function login.maintenance(order) end

return login
