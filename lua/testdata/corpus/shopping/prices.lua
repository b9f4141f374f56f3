local list = require "list.weapons" -- what lies beside the service is found from everywhere in it
return { of = function(what) return list[what] end }
