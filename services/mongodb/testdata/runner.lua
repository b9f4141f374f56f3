-- A service that runs the chunks that it is sent, several at a time if they wait.
skynet = require "skynet"
mongo = require "skynet.db.mongo"
bson = require "bson"

local M = {}

function M.run(_, text, ...)
  return assert((loadstring or load)(text, "=chunk"))(...)
end

-- Connects as the test says, and keeps the client and the collection things of a database.
function M.connect(_, uri, db)
  client = mongo.client { uri = uri }
  things = client[db].things
end

return M
