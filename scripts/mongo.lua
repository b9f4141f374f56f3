-- The name that skynet.db.mongo had before Skynet 1.1.
return require "skynet.db.mongo"
