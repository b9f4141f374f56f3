-- The name that skynet.profile had before Skynet 1.1.
return require "skynet.profile"
