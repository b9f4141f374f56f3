-- The name that skynet.datacenter had before Skynet 1.1.
return require "skynet.datacenter"
