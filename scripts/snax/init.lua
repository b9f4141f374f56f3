-- snax: the name that skynet.snax had first.
return require "skynet.snax"
