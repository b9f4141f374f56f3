-- skynet.datasheet.builder: makes and updates what skynet.datasheet reads.
local core = require "skynet.sharedata.core"

local builder = {}

-- Makes a sheet of a table, or of what compile gave. There must be none of the name.
function builder.new(name, v)
  core.put("datasheet", name, "new", v)
end

-- Puts another one in the place of a sheet.
function builder.update(name, v)
  core.put("datasheet", name, "update", v)
end

-- Gives a table as a string, which may be kept and be made a sheet later.
function builder.compile(v)
  return core.compile(v)
end

return builder
