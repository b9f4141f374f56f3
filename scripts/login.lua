-- login: who may come in, and with what.
local skynet = require "skynet"

local login = {}

-- Shuts a player out and ends its session. options has `reason`, a text for the player, and `seconds`, how long it lasts; for ever without. It returns when the ban is
-- durable, and raises an error if the database can't be reached: the ban holds nevertheless, and is written when it is back.
function login.ban(uid, options)
  return skynet.call("login", "lua", "ban", uid, options)
end

-- Lets a player in again; false if there was no ban.
function login.unban(uid)
  return skynet.call("login", "lua", "unban", uid)
end

-- Gives the ban of a player, { reason, since, ends } with times in seconds as os.time counts (ends is nil if it lasts for ever), or nil.
function login.banned(uid)
  return skynet.call("login", "lua", "banned", uid)
end

-- Takes back all tokens that a player has. Its session goes on.
function login.revoke(uid)
  return skynet.call("login", "lua", "revoke", uid)
end

-- Takes back one token; false if it has expired, nil and { code, msg } if it is not valid.
function login.revoke_token(token)
  return skynet.call("login", "lua", "revoke_token", token)
end

-- Makes a token for a player, with which a client logs in as that one: the token, and when it ends. seconds is its lifetime, at most `login.token_lifetime`.
function login.issue(uid, name, seconds)
  return skynet.call("login", "lua", "issue", uid, name, seconds)
end

-- Gives { uid, name, expires } of a token that is good now, or nil and { code, msg }.
function login.check(token)
  return skynet.call("login", "lua", "check", token)
end

-- Gives a player who came in by another way a name and a password to log in with. Gives { uid, name }, or nil and { code, msg }: "denied" if the name is taken.
function login.link(uid, name, password)
  return skynet.call("login", "lua", "link", uid, name, password)
end

-- Without an argument: gives the maintenance, { msg, ends }, or nil. false ends it. A table begins it: nobody new gets in. It has `msg`, a text for clients, `seconds`,
-- how long it lasts, `except`, a list of uids that get in, and `kick`: true ends the sessions of all others; without it who is in stays.
function login.maintenance(order)
  return skynet.call("login", "lua", "maintenance", order)
end

return login
