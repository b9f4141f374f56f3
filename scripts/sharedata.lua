-- The name that skynet.sharedata had before Skynet 1.1.
return require "skynet.sharedata"
