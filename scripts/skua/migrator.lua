-- Leads the documents of a kind through the project's migrations, one a call, for `skua store migrate`.
local store = require "store"
local core = require "skua.migrator.core"

local M = {}

-- Gives the version of the schema that the migrations lead to, and fails if they are not complete.
function M.newest(_, kind)
  local m = require("migrations." .. kind)
  local _, version = store.migrate(kind, {}, type(m) == "table" and m.version or 1)
  return version
end

-- Migrates the document that core holds.
function M.migrate()
  local doc, kind, id, from = core.take()
  core.give(store.migrate(kind, doc, from, id))
end

return M
