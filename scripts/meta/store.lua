---@meta store

---Documents of a kind, kept by the node's database.
---@class store
local store = {}

---Makes this service the owner of a document and gives its content, nil if it has none yet. Only the owner can write.
---@param kind string
---@param id string
---@return table?
function store.claim(kind, id) end

---Reads a document that somebody else may own.
---@param kind string
---@param id string
---@return table?
function store.load(kind, id) end

---Hands in the document's new content, which is written when it is `store.autosave` old.
---@param kind string
---@param id string
---@param body table
function store.save(kind, id, body) end

---Hands in the document's new content and returns when it is durable.
---@param kind string
---@param id string
---@param body table
function store.commit(kind, id, body) end

---Ends the ownership before the service ends.
---@param kind string
---@param id string
function store.release(kind, id) end

return store
