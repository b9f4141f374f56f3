-- The name that skynet.multicast had before Skynet 1.1.
return require "skynet.multicast"
