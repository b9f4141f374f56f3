-- The name that skynet.stm had before Skynet 1.1.
return require "skynet.stm"
