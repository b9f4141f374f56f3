-- The name that skynet.socket had before Skynet 1.1.
return require "skynet.socket"
