-- skynet.sharedata: tables that all services of the node read and one of them updates. Who has asked for a table sees its newest version: between
-- two messages or behind a wait it changes over, and before it gets anything that was sent to it after the update.
local skynet = require "skynet"
local core = require "skynet.sharedata.core"

local sharedata = {}

-- v is a table; or the text of a chunk, or "@" and a file of the project's scripts, which gets the arguments behind it and makes the table: it returns it, or
-- what it assigns to globals is it.
local function publish(how, name, v, ...)
  if type(v) == "string" then
    skynet.call_timeout(core.load_timeout, "sharedata", "lua", "load", "sharedata", how, name, v, ...)
    core.adopt()
  elseif type(v) == "table" or v == nil then
    core.put("sharedata", name, how, v)
  else
    error("sharedata " .. tostring(name) .. ": unknown data type " .. type(v), 3)
  end
end

-- Makes a table. There must be none of the name.
function sharedata.new(name, v, ...)
  publish("new", name, v, ...)
end

-- Puts another table in the place of the one that has the name, or makes the first.
function sharedata.update(name, v, ...)
  publish("put", name, v, ...)
end

-- Takes the name away. Who has the table reads on.
function sharedata.delete(name)
  core.drop("sharedata", name)
end

-- Gives the table, which nobody can write to and which follows updates. A table in it that an update takes away raises an error when it is read.
function sharedata.query(name)
  return core.follow("sharedata", name)
end

-- Gives a copy that is a table like any other, of all or of what the keys lead to. It does not follow updates.
function sharedata.deepcopy(name, ...)
  return core.copy("sharedata", name, ...)
end

-- Changes over now.
function sharedata.flush()
  core.adopt()
end

return sharedata
