-- Rules that a test can look at: who comes with a query that asks for it is let in.
local skynet = require "skynet"
local room = require "skua.room"

local M = {}
local heard = {}

function M.on_publish(self, name, who, info)
  if info.query.fail then error("rules are broken") end
  if info.query.wait then skynet.sleep(tonumber(info.query.wait)) end
  if info.query.record then room.of(name):record_start{ format = info.query.record } end
  if info.query.let ~= "in" then return false, "not you, " .. who end
  return true
end

function M.on_join(self, name, who, info)
  heard[#heard + 1] = ("join %s %s %s"):format(name, who, info.protocol)
  return info.query.let == "in", "watch elsewhere"
end

function M.on_leave(self, name, who, info)
  heard[#heard + 1] = ("leave %s %s %s %s"):format(name, who, info.action, tostring(info.reason))
end

function M.on_record(self, name, file)
  heard[#heard + 1] = ("record %s %s %s %s"):format(name, tostring(file.last), tostring(file.failed), file.reason or file.format)
end

function M.on_remote(self, name, remote)
  heard[#heard + 1] = ("%s %s %s %s %s"):format(name, remote.kind, remote.url, remote.state, tostring(remote.reason))
end

function M.on_speaking(self, name, speakers)
  local who = {}
  for i, s in ipairs(speakers) do who[i] = s.who .. " " .. s.level end
  heard[#heard + 1] = ("speaking %s %s"):format(name, table.concat(who, ", "))
end

function M.on_message(self, name, who, text, info)
  if text == "rude" then return false end
  if text == "shout" then return who .. " whispers by " .. info.protocol end
end

-- What was heard so far.
function M.heard() return table.concat(heard, "; ") end

function M.kick(self, name, whom, reason) return room.of(name):kick(whom, reason) end
function M.record(self, name, options) return room.of(name):record_start(options) end
function M.unrecord(self, name) return room.of(name):record_stop() end
function M.forward(self, name, url) return room.of(name):forward(url) end
function M.forward_stop(self, name, id) return room.of(name):forward_stop(id) end
function M.pull(self, name, url, options) return room.of(name):pull(url, options) end
function M.pull_stop(self, name, id) return room.of(name):pull_stop(id) end
function M.remotes(self, name)
  local all = {}
  for i, r in ipairs(room.of(name):info().remotes) do all[i] = ("%d %s %s %s"):format(r.id, r.kind, r.url, r.state) end
  return table.concat(all, ", ")
end
function M.mute(self, name, kind, on, whom) return room.of(name):mute(kind, on, whom) end
function M.tell(self, name, text, who) return room.of(name):tell(text, who) end
function M.close(self, name, reason) return room.of(name):close(reason) end
function M.rooms() return table.concat(room.list(), " ") end
function M.sign(self, name, action, who, seconds) return room.sign(name, action, who, seconds) end

function M.info(self, name)
  local info = room.of(name):info()
  if not info then return "nobody" end
  local members = {}
  for i, m in ipairs(info.members) do members[i] = m.who .. "/" .. m.action end
  return ("live %s, viewers %d: %s"):format(tostring(info.live), info.viewers, table.concat(members, " "))
end

return M
