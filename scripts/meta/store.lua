---@meta store

---Documents of a kind, kept by the node's database, as plain tables.
---@class store
local store = {}

---An open document: a plain table with these methods. A field of the same name hides a method; store.commit(doc) and the others always work.
---@class store.document
---@field [string] any
local document = {}

---Returns when what is in the table now is durable.
function document:commit() end

---Hands in what is in the table now: what can't be saved is an error here.
function document:save() end

---Saves the document and ends the ownership.
function document:close() end

---Takes the content away, for good when it returns, and ends the ownership.
function document:delete() end

---The version that is durable: it counts the writes.
---@return integer
function document:version() end

---Opens a document and makes this service its owner. What changes in the table is saved by itself.
---@param kind string
---@param id string|integer
---@param defaults? table fields that the document gets if it has them not
---@return store.document
function store.open(kind, id, defaults) end

---Returns when a document's content is durable.
---@param doc store.document
---@overload fun(kind: string, id: string|integer, body: table)
function store.commit(doc) end

---Hands in a document's content.
---@param doc store.document
---@overload fun(kind: string, id: string|integer, body: table)
function store.save(doc) end

---Saves a document and ends the ownership.
---@param doc store.document
function store.close(doc) end

---Takes a document's content away and ends the ownership.
---@param doc store.document
function store.delete(doc) end

---The version of a document that is durable.
---@param doc store.document
---@return integer
function store.version(doc) end

---Has f called when the content of a table could not be saved, or a document was lost to another service.
---@param f fun(doc: table, err: table, kind: string, id: string)
function store.on_error(f) end

---Reads a document that somebody else may own. Options are a list of paths, and may have fresh = true.
---@param kind string
---@param id string|integer
---@param options? table
---@return table?
function store.load(kind, id, options) end

---@class store.found
---@field id string
---@field doc table

---@class store.query
---@field sort? string|string[] paths, with a minus in front if the highest come first
---@field limit? integer 100
---@field fields? string[]
---@field after? string what an earlier query has given

---Finds documents by an index: { guild = "red", level = { gte = 10, lt = 20 } }.
---@param kind string
---@param where? table
---@param options? store.query
---@return store.found[] list
---@return string? after what options.after is to be for those behind
function store.find(kind, where, options) end

---Leads a copy of a document to the newest version of its kind's schema: for tests of migrations.
---@param kind string
---@param doc table
---@param from? integer 1
---@param id? string what errors call the document
---@return table doc
---@return integer version
function store.migrate(kind, doc, from, id) end

---Makes this service the owner of a document and gives its content, nil if it has none yet, to a script that hands in contents itself.
---@param kind string
---@param id string|integer
---@return table?
function store.claim(kind, id) end

---Ends the ownership of a document that was claimed.
---@param kind string
---@param id string|integer
function store.release(kind, id) end

return store
