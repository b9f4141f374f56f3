-- It forgets skynet.start.
local skynet = require "skynet"
