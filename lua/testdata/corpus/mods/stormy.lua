local skynet = require "skynet"
skynet.sleep(1)
error "no such weather"
