-- skynet.datasheet: read-only tables that follow the updates of skynet.datasheet.builder.
local core = require "skynet.sharedata.core"

local datasheet = {}

-- Gives the sheet. It has its newest version from the message on that the service handles next or the wait that it ends next. A table in it that an update
-- takes away raises an error when it is read.
function datasheet.query(name)
  return core.follow("datasheet", name)
end

return datasheet
