-- skynet.sharetable: tables that all services of the node read. Who has asked for one reads that version until it calls update.
local skynet = require "skynet"
local core = require "skynet.sharedata.core"

local sharetable = {}

local function load(name, source, ...)
  skynet.call_timeout(core.load_timeout, "sharedata", "lua", "load", "sharetable", "put", name, source, ...)
end

-- Runs a file of the project's scripts with the arguments; the table that it returns gets the file's name.
function sharetable.loadfile(filename, ...)
  load(filename, "@" .. filename, ...)
end

-- Runs the text of a chunk with the arguments; the table that it returns gets the name. "@" and a file are that file.
function sharetable.loadstring(name, source, ...)
  load(name, source, ...)
end

-- Gives a table a name. What is done to it later does not matter.
function sharetable.loadtable(name, t)
  if type(t) ~= "table" then
    error("sharetable.loadtable: a table is expected as argument 2, got " .. type(t), 2)
  end
  core.put("sharetable", name, "put", t)
end

-- Gives the table as it is now, which nobody can write to; nil if there is none of the name.
function sharetable.query(name)
  return core.version("sharetable", name)
end

-- Gives the tables of a list of names, or all, by name; those that there are.
function sharetable.queryall(names)
  local all = {}
  for _, name in ipairs(names or core.names("sharetable")) do
    all[name] = core.version("sharetable", name)
  end
  return all
end

-- Makes what this service holds of the tables with these names, wherever it does, the newest version. A table in one that the newest does not have raises an
-- error when it is read.
function sharetable.update(...)
  for i = 1, select("#", ...) do
    core.renew("sharetable", (select(i, ...)))
  end
end

return sharetable
