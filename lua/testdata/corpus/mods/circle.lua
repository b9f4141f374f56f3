return { inner = require "mods.circle" }
