local skynet = require "skynet"

settings_made = (settings_made or 0) + 1
skynet.sleep(10)
return { loaded_at = skynet.now(), times = settings_made }
