-- skynet: the verbs of a service. They are in Go, and get into this table when they are first used.
return require("skynet.core").skynet
