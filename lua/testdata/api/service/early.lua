require "skynet".init(function() order[#order + 1] = "module's init" end)
