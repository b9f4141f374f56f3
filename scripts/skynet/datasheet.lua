-- skynet.datasheet: read-only tables that follow the updates of skynet.datasheet.builder.
local core = require "skynet.sharedata.core"

local datasheet = {}

-- Gives the sheet. Between two messages or behind a wait it becomes its newest version. A table in it that an update takes away raises an error when it is
-- read.
function datasheet.query(name)
  return core.follow("datasheet", name)
end

return datasheet
