-- The name that skynet.socketchannel had before Skynet 1.1.
return require "skynet.socketchannel"
