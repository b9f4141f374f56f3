---@meta skynet.db.mongo

---MongoDB. Calls wait, and let the service handle other messages. What is no method of a client is a database of that name, what is none of a database a collection.
---@class skynet.db.mongo
local mongo = {}

---A connection, as one user. Services with the same wish share it.
---@class skynet.db.mongo.client
---@field host string?
---@field port integer?
---@field [string] skynet.db.mongo.database
local client = {}

---@class skynet.db.mongo.database
---@field name string
---@field [string] skynet.db.mongo.collection
local database = {}

---@class skynet.db.mongo.collection
---@field name string
---@field full_name string
---@field database skynet.db.mongo.database
local collection = {}

---What find and aggregate give. Nobody is asked before hasNext or count.
---@class skynet.db.mongo.cursor
local cursor = {}

---A null.
---@type any
mongo.null = nil
---Smaller than all else.
---@type any
mongo.minkey = nil
---Larger than all else.
---@type any
mongo.maxkey = nil

---What a value is in BSON.
---@param v any
---@return string type
---@return any value
---@return any more
function mongo.type(v) end

---Connects: to host and port, to the primary of the replica set of which rs lists members, to a uri, or to a database by its name in the node's configuration.
---authmod is "scram_sha1" or "scram_sha256". It raises an error if the server is not there or does not know the user.
---@param conf { host?: string, port?: integer, rs?: table[], uri?: string, name?: string, username?: string, password?: string, authdb?: string, authmod?: string }
---@return skynet.db.mongo.client
function mongo.client(conf) end

---A database.
---@param name string
---@return skynet.db.mongo.database
function client:getDB(name) end

---Gives the connection up. What was sent by insert and the like is still written.
function client:disconnect() end

---Goes on as nobody.
---@return boolean
function client:logout() end

---Runs a command in the database admin: its name, its value, then keys and values in turn. Gives the server's reply, also one that says no.
---@param name string
---@param value? any
---@param ... any
---@return table
function client:runCommand(name, value, ...) end

---Goes on as a user of this database: true, or false and why not.
---@param user string
---@param password string
---@return boolean
---@return string? error
function database:auth(user, password) end

---Runs a command: its name, its value, then keys and values in turn. Gives the server's reply, also one that says no.
---@param name string
---@param value? any
---@param ... any
---@return table
function database:runCommand(name, value, ...) end

---A collection.
---@param name string
---@return skynet.db.mongo.collection
function database:getCollection(name) end

---The collection whose name is this one's, a dot and the given one.
---@param name string
---@return skynet.db.mongo.collection
function collection:getCollection(name) end

---Sends a document, which gets an _id if it has none. Nobody hears what becomes of it but the node's log.
---@param doc table
function collection:insert(doc) end

---Inserts a document.
---@param doc table
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_insert(doc) end

---Inserts a document, a bson document perhaps.
---@param doc table|bson.document
---@return boolean ok
---@return string? error
---@return table reply
function collection:raw_safe_insert(doc) end

---Sends documents, which get an _id if they have none.
---@param docs table[]
function collection:batch_insert(docs) end

---Inserts documents, which get an _id if they have none, up to the first that is refused.
---@param docs table[]
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_batch_insert(docs) end

---collection:batch_insert.
---@param docs table[]
function collection:insert_many(docs) end

---collection:safe_batch_insert.
---@param docs table[]
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_insert_many(docs) end

---Sends a change of the first document that matches, or of all. One without operators such as $set replaces the document.
---@param query table
---@param update table
---@param upsert? boolean
---@param multi? boolean
function collection:update(query, update, upsert, multi) end

---Changes the first document that matches, or all. A change without operators such as $set replaces the document.
---@param query table
---@param update table
---@param upsert? boolean
---@param multi? boolean
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_update(query, update, upsert, multi) end

---Sends changes, each with query, update, upsert and multi.
---@param list table[]
function collection:batch_update(list) end

---Makes changes, each with query, update, upsert and multi.
---@param list table[]
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_batch_update(list) end

---A change in the form of MongoDB's command: q, u, upsert, multi.
---@param update table|bson.document
---@return boolean ok
---@return string? error
---@return table reply
function collection:raw_safe_update(update) end

---Takes away the documents that match, or the first of them.
---@param query table
---@param single? boolean
function collection:delete(query, single) end

---Takes away the documents that match, or the first of them.
---@param query table
---@param single? boolean
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_delete(query, single) end

---collection:delete for a list of queries.
---@param queries table[]
---@param single? boolean
function collection:batch_delete(queries, single) end

---collection:safe_delete for a list of queries.
---@param queries table[]
---@param single? boolean
---@return boolean ok
---@return string? error
---@return table reply
function collection:safe_batch_delete(queries, single) end

---A delete in the form of MongoDB's command: q, limit.
---@param delete table|bson.document
---@return boolean ok
---@return string? error
---@return table reply
function collection:raw_safe_delete(delete) end

---Does operations as MongoDB's shell has them: insertOne, updateOne, updateMany, replaceOne, deleteOne, deleteMany.
---@param operations table[]
---@param options? { ordered?: boolean }
---@return boolean ok
---@return string? error
---@return table reply
function collection:bulkWrite(operations, options) end

---A cursor over the documents that match.
---@param filter? table
---@param projection? table
---@return skynet.db.mongo.cursor
function collection:find(filter, projection) end

---The first document that matches.
---@param filter? table
---@param projection? table
---@return table?
function collection:findOne(filter, projection) end

---A cursor over what a list of stages gives.
---@param pipeline table[]
---@param options? table
---@return skynet.db.mongo.cursor
function collection:aggregate(pipeline, options) end

---Makes an index: { "a", { b = -1 }, unique = true }, or a key and options.
---@param keys table
---@param options? table
---@return table reply
function collection:createIndex(keys, options) end

---Makes several indexes.
---@param ... table
---@return table reply
function collection:createIndexes(...) end

---collection:createIndex.
---@param keys table
---@param options? table
---@return table reply
function collection:ensureIndex(keys, options) end

---collection:createIndexes.
---@param ... table
---@return table reply
function collection:ensureIndexes(...) end

---Takes an index away by its name, or all with "*".
---@param name string
---@return table reply
function collection:dropIndex(name) end

---Takes the collection away.
---@return table reply
function collection:drop() end

---Changes one document and gives it in the reply's value: query, update or remove, new, fields, sort, upsert.
---@param args table
---@return table reply
function collection:findAndModify(args) end

---Sorts by a field, { score = -1 }, or by several: one table each.
---@param key table|bson.document
---@param ... table
---@return skynet.db.mongo.cursor
function cursor:sort(key, ...) end

---Leaves documents out at the beginning.
---@param n integer
---@return skynet.db.mongo.cursor
function cursor:skip(n) end

---Gives so many documents at most.
---@param n integer
---@return skynet.db.mongo.cursor
function cursor:limit(n) end

---How many documents there are.
---@param with_limit_and_skip? boolean
---@return integer
function cursor:count(with_limit_and_skip) end

---Whether there is one more document.
---@return boolean
function cursor:hasNext() end

---The next document.
---@return table
function cursor:next() end

---Gives the rest up.
function cursor:close() end

return mongo
