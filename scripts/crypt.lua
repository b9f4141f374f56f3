-- The name that skynet.crypt had before Skynet 1.1.
return require "skynet.crypt"
