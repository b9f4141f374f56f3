-- store: documents of a kind, kept by the node's database.
local skynet = require "skynet"

local store = {}

-- Makes this service the owner of a document and gives its content, nil if it has none yet. Only the owner can write. The ownership ends with the service,
-- or when another one claims the document; should that be on another node, this service is stopped at its next write.
function store.claim(kind, id)
  return skynet.call("store", "lua", "claim", kind, id)
end

-- Reads a document that somebody else may own; nil if there is none.
function store.load(kind, id)
  return skynet.call("store", "lua", "load", kind, id)
end

-- Hands in the document's new content, which replaces what was not written yet. It is written when it is `store.autosave` old.
function store.save(kind, id, body)
  skynet.call("store", "lua", "save", kind, id, body)
end

-- Hands in the document's new content and returns when it is durable. It raises an error if the database can't be reached; the content is then kept
-- and written when it is back.
function store.commit(kind, id, body)
  skynet.call("store", "lua", "commit", kind, id, body)
end

-- Ends the ownership before the service ends. What was handed in is still written.
function store.release(kind, id)
  skynet.call("store", "lua", "release", kind, id)
end

return store
