-- skynet.db.mongo: MongoDB for scripts. Connections and cursors are in Go (skynet.mongodriver), on MongoDB's own driver; this file gives them Skynet's shape.
-- Every call but getDB, getCollection and the building of queries waits, insert, batch_insert, update and batch_update only if too much is on its way already.
local bson = require "bson"
local driver = require "skynet.mongodriver"

local mongo = { null = bson.null, maxkey = bson.maxkey, minkey = bson.minkey, type = bson.type }

local client, database, collection, cursor = {}, {}, {}, {}

-- What is no method of a client is a database, and what is none of a database or a collection is a collection.
local client_meta = {
  __index = function(self, key) return client[key] or self:getDB(key) end,
  __tostring = function(self) return "[mongo client : " .. self.__where .. "]" end,
}
local database_meta = {
  __index = function(self, key) return database[key] or self:getCollection(key) end,
  __tostring = function(self) return "[mongo db : " .. self.name .. "]" end,
}
local collection_meta = {
  __index = function(self, key) return collection[key] or self:getCollection(key) end,
  __tostring = function(self) return "[mongo collection : " .. self.full_name .. "]" end,
}
local cursor_meta = { __index = cursor }

local function bytes(doc) return tostring(bson.encode(doc)) end

-- What the driver gives; an error of the script's call where it gives none.
local function check(level, result, why)
  if result == nil then error(why, level + 1) end
  return result, why
end

local function address(host) return (host.host or "127.0.0.1") .. ":" .. string.format("%d", host.port or 27017) end

-- The driver's form of what Skynet's client takes: host and port, or rs, a list of such.
local function wish(conf)
  local first = conf.rs and conf.rs[1] or conf
  local w = { name = conf.name, uri = conf.uri, username = first.username, password = first.password, authmod = first.authmod, authdb = first.authdb }
  if conf.rs then
    w.hosts = {}
    for i, host in ipairs(conf.rs) do w.hosts[i] = address(host) end
  elseif not conf.uri and not conf.name then
    w.hosts = { address(conf) }
  end
  return w
end

-- Connects: to a host and port, to the primary of a replica set of which rs lists members, to a uri, or to a database by its name in the node's configuration.
-- username, password, authdb ("admin") and authmod ("scram_sha1", "scram_sha256") are optional. It raises an error if the server is not there, or does not
-- know the user. Services with the same wish share connections.
function mongo.client(conf)
  if type(conf) ~= "table" then error("mongo.client: a table is expected, got " .. type(conf), 2) end
  local w = wish(conf)
  local self = { __wish = w, __where = w.hosts and w.hosts[1] or w.name or "by a URI" }
  if w.hosts then
    local first = conf.rs and conf.rs[1] or conf
    self.host, self.port = first.host or "127.0.0.1", first.port or 27017
  end
  self.__id = check(2, driver.open(w))
  return setmetatable(self, client_meta)
end

-- Keeps a database or a collection under its name, unless that is the name of something else there.
local function keep(self, class, name, made)
  if rawget(self, name) == nil and class[name] == nil then rawset(self, name, made) end
  return made
end

function client:getDB(name)
  local db = { connection = self, name = name, full_name = name }
  db.database = db
  return keep(self, client, name, setmetatable(db, database_meta))
end

-- Gives the connection up. What was sent by insert and the like is still written.
function client:disconnect()
  driver.close(self.__id)
  self.__id = 0
end

-- Goes on as another user: a new connection in the place of the old one.
local function login(self, user, password, db)
  local w = {}
  for k, v in pairs(self.__wish) do w[k] = v end
  w.username, w.password, w.authdb = user, password, db
  local id, why = driver.open(w)
  if not id then return false, why end
  driver.close(self.__id)
  self.__id, self.__wish = id, w
  return true
end

-- Goes on as nobody.
function client:logout() return (login(self, nil, nil, nil)) end

-- A command in the database admin.
function client:runCommand(...) return self:getDB("admin"):runCommand(...) end

-- Goes on as a user of this database: true, or false and why not.
function database:auth(user, password) return login(self.connection, user, password, self.name) end

-- The command as the driver wants it: its name comes first.
local function command(name, value, ...)
  if value == nil then value = 1 end
  return tostring(bson.encode_order(name, value, ...))
end

-- Runs a command: runCommand("count", "things", "query", { kind = 1 }). Gives the server's reply, also one that says no (ok is 0 then).
function database:runCommand(name, value, ...)
  return bson.decode(check(2, driver.command(self.connection.__id, self.name, command(name, value, ...))))
end

function database:getCollection(name)
  local c = { connection = self.connection, name = name, full_name = self.full_name .. "." .. name, database = self.database }
  if self ~= self.database then c.name = self.name .. "." .. name end
  return keep(self, self == self.database and database or collection, name, setmetatable(c, collection_meta))
end

collection.getCollection = database.getCollection

-- What is sent is written soon, in its order; nobody hears of it.
local function send(self, ops)
  check(3, driver.send(self.connection.__id, self.database.name, self.name, bytes { ops = ops }))
end

-- Writes and gives the reply.
local function write(self, ops, ordered)
  return bson.decode(check(3, driver.write(self.connection.__id, self.database.name, self.name, bytes { ops = ops }, ordered)))
end

-- Skynet's three results of a safe_ form: whether all went well, else the first error, and the server's reply.
local function outcome(r)
  local why
  if r.writeErrors then
    why = r.writeErrors[1].errmsg
  elseif r.writeConcernError then
    why = r.writeConcernError.errmsg
  elseif r.ok ~= 1 then
    why = r.errmsg or "the server gives no reason"
  end
  return why == nil, why, r
end

-- The operations that insert documents. With named, documents without an _id get one, which the script sees.
local function inserts(docs, named)
  local ops = {}
  for i, doc in ipairs(docs) do
    if named and type(doc) == "table" and doc._id == nil then doc._id = bson.objectid() end
    ops[i] = { insertOne = { document = doc } }
  end
  return ops
end

local function change(query, update, upsert, multi)
  return { update = { filter = query, update = update, upsert = upsert and true or false, multi = multi and true or false } }
end

local function changes(list)
  local ops = {}
  for i, u in ipairs(list) do ops[i] = change(u.query, u.update, u.upsert, u.multi) end
  return ops
end

local function removal(query, single) return { [single and "deleteOne" or "deleteMany"] = { filter = query } } end

-- The safe_ forms wait and give whether all went well, else the first error, and the server's reply. The others do not wait, and what goes wrong is in the node's
-- log only; delete waits and says nothing, as in Skynet.
function collection:insert(doc) send(self, inserts({ doc }, true)) end
function collection:safe_insert(doc) return outcome(write(self, inserts { doc })) end
function collection:batch_insert(docs) send(self, inserts(docs, true)) end
function collection:safe_batch_insert(docs) return outcome(write(self, inserts(docs, true))) end

collection.raw_safe_insert = collection.safe_insert
collection.insert_many, collection.safe_insert_many = collection.batch_insert, collection.safe_batch_insert

-- Changes the first document that matches, all with multi; with upsert makes one if none does. An update without operators such as $set replaces the document.
function collection:update(query, update, upsert, multi) send(self, { change(query, update, upsert, multi) }) end
function collection:safe_update(query, update, upsert, multi) return outcome(write(self, { change(query, update, upsert, multi) })) end
-- The same for a list of { query, update, upsert, multi }.
function collection:batch_update(list) send(self, changes(list)) end
function collection:safe_batch_update(list) return outcome(write(self, changes(list))) end

-- An update in the form of MongoDB's command: { q, u, upsert, multi }, as a table or a document of bson.
function collection:raw_safe_update(update)
  return outcome(self.database:runCommand("update", self.name, "updates", { update }))
end

-- Takes away what matches; with single the first only.
function collection:delete(query, single) write(self, { removal(query, single) }) end
function collection:safe_delete(query, single) return outcome(write(self, { removal(query, single) })) end

-- The same for a list of queries.
function collection:safe_batch_delete(queries, single)
  local ops = {}
  for i, query in ipairs(queries) do ops[i] = removal(query, single) end
  return outcome(write(self, ops))
end

function collection:batch_delete(queries, single) self:safe_batch_delete(queries, single) end

-- A delete in the form of MongoDB's command: { q, limit }.
function collection:raw_safe_delete(delete)
  return outcome(self.database:runCommand("delete", self.name, "deletes", { delete }))
end

-- Does a list of operations as MongoDB's shell has them: { insertOne = { document } }, { updateOne = { filter, update, upsert, arrayFilters, hint } }, updateMany,
-- { replaceOne = { filter, replacement, upsert, hint } }, { deleteOne = { filter, hint } }, deleteMany. In their order up to the first error, or all of them with
-- { ordered = false }. Gives the results of a safe_ form; the reply has the counts.
function collection:bulkWrite(operations, options)
  return outcome(write(self, operations, not options or options.ordered ~= false))
end

local function query(self, more)
  more.__collection, more.__skip, more.__limit = self, 0, 0
  return setmetatable(more, cursor_meta)
end

-- A cursor over the documents that match, which nobody is asked for yet.
function collection:find(filter, projection)
  return query(self, { __query = filter or {}, __projection = projection or {}, __sort = {} })
end

-- The first document that matches, or nil.
function collection:findOne(filter, projection)
  local first = check(2, driver.find(self.connection.__id, self.database.name,
    command("find", self.name, "filter", filter or {}, "projection", projection or {}, "limit", 1, "singleBatch", true)))[1]
  return first and bson.decode(first)
end

-- A cursor over what a list of stages gives. The options are those of MongoDB's command: allowDiskUse, maxTimeMS, cursor = { batchSize = n } ...
function collection:aggregate(pipeline, options)
  if type(pipeline) ~= "table" then error("aggregate: a list of stages is expected, got " .. type(pipeline), 2) end
  return query(self, { __pipeline = pipeline, __options = options or {} })
end

-- sort { score = -1 }, or sort({ score = -1 }, { name = 1 }) by several fields.
function cursor:sort(key, ...)
  local more = { ... }
  if #more > 0 then
    local order = {}
    for _, part in ipairs { key, ... } do
      for k, v in pairs(part) do
        order[#order + 1] = k
        order[#order + 1] = v
      end
    end
    key = bson.encode_order((table.unpack or unpack)(order))
  end
  self.__sort = key
  return self
end

function cursor:skip(n)
  self.__skip = n
  return self
end

function cursor:limit(n)
  self.__limit = n
  return self
end

-- The stages with those of sort, skip and limit behind them.
local function stages(self, all)
  local list = {}
  for i, stage in ipairs(self.__pipeline) do list[i] = stage end
  if not all then return list end
  if self.__sort then list[#list + 1] = { ["$sort"] = self.__sort } end
  if self.__skip > 0 then list[#list + 1] = { ["$skip"] = self.__skip } end
  if self.__limit > 0 then list[#list + 1] = { ["$limit"] = self.__limit } end
  return list
end

local function aggregation(self, pipeline)
  local args = { "pipeline", pipeline }
  for k, v in pairs(self.__options) do
    args[#args + 1] = k
    args[#args + 1] = v
  end
  if not self.__options.cursor and not self.__options.explain then
    args[#args + 1] = "cursor"
    args[#args + 1] = {}
  end
  return command("aggregate", self.__collection.name, (table.unpack or unpack)(args))
end

-- How many documents there are, without regard to skip and limit unless with_limit_and_skip is true.
function cursor:count(with_limit_and_skip)
  local c = self.__collection
  local db, id = c.database.name, c.connection.__id
  if self.__pipeline then
    local pipeline = stages(self, with_limit_and_skip)
    pipeline[#pipeline + 1] = { ["$count"] = "n" }
    local docs, open = check(2, driver.find(id, db, aggregation(self, pipeline)))
    if open then driver.drop(open) end
    return docs[1] and bson.decode(docs[1]).n or 0
  end
  local args = { "query", self.__query }
  if with_limit_and_skip then
    args = { "query", self.__query, "limit", self.__limit, "skip", self.__skip }
  end
  local r = bson.decode(check(2, driver.command(id, db, command("count", c.name, (table.unpack or unpack)(args)))))
  if r.ok ~= 1 then error(r.errmsg or "the server gives no reason", 2) end
  return r.n
end

-- Asks the server for the first documents.
local function begin(self)
  local c = self.__collection
  local db, id = c.database.name, c.connection.__id
  if self.__pipeline and self.__options.explain then
    local r = check(3, driver.command(id, db, aggregation(self, stages(self, true))))
    self.__docs, self.__open = { r }, nil
    return
  end
  local cmd
  if self.__pipeline then
    cmd = aggregation(self, stages(self, true))
  else
    cmd = command("find", c.name, "filter", self.__query, "sort", self.__sort, "projection", self.__projection, "skip", self.__skip, "limit", self.__limit)
  end
  self.__docs, self.__open = check(3, driver.find(id, db, cmd))
end

-- Whether there is one more document; it waits if the server has to be asked.
function cursor:hasNext()
  if self.__closed then return false end
  if not self.__docs then
    begin(self)
    self.__at = 1
  end
  if self.__at > #self.__docs and self.__open then
    local docs, more = driver.next(self.__open)
    self.__open, self.__at = docs and more, 1
    self.__docs = check(2, docs, more)
  end
  if self.__at <= #self.__docs then return true end
  self.__closed, self.__open = true, nil
  return false
end

-- The next document; hasNext has to say before that there is one.
function cursor:next()
  if not self.__docs or self.__at > #self.__docs then error("next: hasNext has to be called before", 2) end
  local doc = self.__docs[self.__at]
  self.__docs[self.__at] = false -- frees it
  self.__at = self.__at + 1
  return bson.decode(doc)
end

-- Gives the rest up. A cursor that was read to its end is closed already.
function cursor:close()
  if self.__open then driver.drop(self.__open) end
  self.__closed, self.__open = true, nil
  self.__docs, self.__at = {}, 1
end

-- What createIndexes takes of { "a", { b = -1 }, unique = true }.
local function index(spec)
  local doc, keys, name = {}, {}, nil
  for k, v in pairs(spec) do
    if type(k) == "string" then doc[k] = v end
  end
  for _, part in ipairs(spec) do
    local k, v = part, 1
    if type(part) == "table" then k, v = next(part) end
    keys[#keys + 1] = k
    keys[#keys + 1] = v
    local text = k .. "_" .. (type(v) == "number" and string.format("%d", v) or tostring(v))
    name = name and name .. "_" .. text or text
  end
  if not name then error("an index needs keys", 3) end
  doc.name = doc.name or name
  doc.key = bson.encode_order((table.unpack or unpack)(keys))
  return doc
end

-- createIndex { "a", { b = -1 }, unique = true }, or createIndex({ a = 1 }, { unique = true }) for one key. Gives the server's reply.
function collection:createIndex(keys, options)
  if options then
    local spec = {}
    for k, v in pairs(options) do spec[k] = v end
    local k, v = next(keys)
    if next(keys, k) ~= nil then error("createIndex: several keys have no order here: createIndex { \"a\", \"b\", ... }", 2) end
    spec[1] = { [k] = v }
    keys = spec
  end
  return self.database:runCommand("createIndexes", self.name, "indexes", { index(keys) })
end

-- The same for several indexes, each in the first form.
function collection:createIndexes(...)
  local list = {}
  for i, spec in ipairs { ... } do list[i] = index(spec) end
  return self.database:runCommand("createIndexes", self.name, "indexes", list)
end

collection.ensureIndex, collection.ensureIndexes = collection.createIndex, collection.createIndexes

-- Takes the collection away, with its indexes.
function collection:drop() return self.database:runCommand("drop", self.name) end

-- Takes an index away by its name, or all with "*".
function collection:dropIndex(name) return self.database:runCommand("dropIndexes", self.name, "index", name) end

-- Changes one document and gives it in the reply's value: findAndModify { query, update or remove, new, fields, sort, upsert, arrayFilters }.
function collection:findAndModify(args)
  if not args.query then error("findAndModify: query is missing", 2) end
  if not args.update and not args.remove then error("findAndModify: update or remove is missing", 2) end
  local list = {}
  for k, v in pairs(args) do
    list[#list + 1] = k
    list[#list + 1] = v
  end
  return self.database:runCommand("findAndModify", self.name, (table.unpack or unpack)(list))
end

return mongo
