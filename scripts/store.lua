-- store: documents of a kind, kept by the node's database, as plain tables.
local core = require "store.core"

local store = {}

-- How deep a table of defaults may be.
local deepest = 100

-- A copy of a value, with all tables in it.
local function copy(v, depth)
  if type(v) ~= "table" then return v end
  if depth > deepest then error("store: the defaults nest deeper than " .. deepest .. " levels: does a table contain itself?", 0) end
  local t = {}
  for k, e in pairs(v) do t[k] = copy(e, depth + 1) end
  return t
end

-- Migrations that have been looked at, by kind.
local known = {}

-- What migrations/KIND.lua returns, or what stands for it where there is no such file.
local function migrations(kind)
  if known[kind] then return known[kind] end
  local first, name = core.schema(kind), "migrations." .. tostring(kind)
  local m = { version = first }
  if core.has(name) then
    m = require(name)
    local version = type(m) == "table" and m.version
    if type(version) ~= "number" or version < first or version % 1 ~= 0 then
      error("store: " .. name .. ": a table with a field version is expected, a whole number from " .. first .. " on", 0)
    end
    for n = first, version - 1 do
      if type(m[n]) ~= "function" then error("store: " .. name .. ": there is no function [" .. n .. "], which leads from version " .. n .. " to " .. n + 1, 0) end
    end
  end
  known[kind] = m
  return m
end

-- Leads a document to the version of its kind's migrations. It may change the table.
local function migrate(kind, id, doc, from)
  local m = migrations(kind)
  local what = kind .. "/" .. id
  if from > m.version then
    error("store: " .. what .. ": the document has version " .. from .. " of its schema, and this node's migrations lead to " .. m.version
      .. ": was it written by a newer release?", 0)
  end
  for n = from, m.version - 1 do
    local ok, result = pcall(m[n], doc)
    if ok and result ~= nil and type(result) ~= "table" then ok, result = false, "it returned a " .. type(result) .. ", not a table" end
    if not ok then error("store: " .. what .. ": the migration from version " .. n .. " to " .. n + 1 .. " failed: " .. tostring(result), 0) end
    doc = result or doc
  end
  return doc, m.version
end

local function prepare(kind, id, doc, from, defaults)
  local version
  if from then doc, version = migrate(kind, id, doc, from) else version = migrations(kind).version end
  for k, v in pairs(defaults or {}) do
    if doc[k] == nil then doc[k] = copy(v, 1) end
  end
  return doc, version
end

-- Opens a document and makes this service its owner: the only one that can write it. It gives its content as a plain table; of defaults, it gets copies of the fields
-- that it has not. Whatever the service changes in the table is saved within store.autosave, and when the service ends. A second open gives the same table.
function store.open(kind, id, defaults)
  if defaults ~= nil and type(defaults) ~= "table" then error("store.open: a table of defaults is expected, got " .. type(defaults), 2) end
  local doc, how, number, from
  repeat doc, how, number, from = core.open(kind, id) until how ~= "again"
  if how == "open" then return doc end
  local ok, result, version = pcall(prepare, kind, id, doc, from, defaults)
  if not ok then
    core.failed(number)
    error(result, 0)
  end
  core.opened(number, result, version)
  return result
end

-- Returns when what is in a document's table now is durable. It raises an error if the database can't be reached; the content is then kept and written when it is
-- back. With a kind, an id and a content: for a document that was claimed.
function store.commit(doc, id, body)
  if type(doc) == "table" then core.commit(doc) else core.commit_raw(doc, id, body) end
end

-- Hands in what is in a document's table now, so that what can't be saved is an error here. With a kind, an id and a content: for a document that was claimed; it
-- replaces what was not written yet, and is written when it is store.autosave old.
function store.save(doc, id, body)
  if type(doc) == "table" then core.save(doc) else core.save_raw(doc, id, body) end
end

-- Saves a document and ends the ownership. The table is then one like any other.
function store.close(doc)
  core.save(doc)
  core.close(doc)
end

-- Takes a document's content away, for good when it returns, and ends the ownership. The table is then one like any other.
function store.delete(doc)
  core.delete(doc)
end

-- The version of a document that is durable: it counts the writes.
function store.version(doc)
  return core.version(doc)
end

-- Has f(doc, err, kind, id) called when the content of a document's table could not be saved; without it, the log alone tells. It is tried again.
function store.on_error(f)
  core.on_error(f)
end

core.methods { commit = store.commit, save = store.save, close = store.close, delete = store.delete, version = store.version }

-- Reads a document that somebody else may own; nil if there is none. It may be as old as store.cache_ttl, unless options say `fresh = true`. Options may be a list
-- of paths, too, { "name", "stats.level" }: of these fields only, and without migrations.
function store.load(kind, id, options)
  local fields = options and #options > 0 and options or nil
  local doc, from = core.load(kind, id, fields, options and options.fresh)
  if not doc or fields then return doc end
  return (migrate(kind, id, doc, from))
end

-- Finds documents by one of the indexes that store.indexes declares: where = { guild = "red", level = { gte = 10, lt = 20 } }. Options are sort, a list of paths, with a
-- minus in front if the highest come first, limit (100), fields as for store.load, and after. It gives a list of { id = ..., doc = ... }, and what `after` is to be for
-- those behind, which may be none; nil with an empty list.
function store.find(kind, where, options)
  local o = options or {}
  local sort = o.sort
  if type(sort) == "string" then sort = { sort } end
  local found, after = core.find(kind, where, sort, o.limit or 100, o.fields, o.after)
  local list = {}
  for i = 1, #found, 3 do
    local doc = found[i + 1]
    if not o.fields then doc = migrate(kind, found[i], doc, found[i + 2]) end
    list[#list + 1] = { id = found[i], doc = doc }
  end
  return list, after
end

-- Leads a copy of a document to the newest version of its kind, from the version that it has (1 if it says none): for tests of migrations. It gives that version too.
-- Errors call the document id, if that is given.
function store.migrate(kind, doc, from, id)
  return migrate(kind, id or "?", copy(doc, 1), from or 1)
end

-- Makes this service the owner of a document and gives its content, nil if it has none yet, to a script that hands in contents itself with store.save and store.commit.
-- The ownership ends with the service, or when another one claims the document; should that be on another node, this service is stopped at its next write.
function store.claim(kind, id)
  return core.claim(kind, id)
end

-- Ends the ownership of a document that was claimed, before the service ends. What was handed in is still written.
function store.release(kind, id)
  core.release(kind, id)
end

return store
