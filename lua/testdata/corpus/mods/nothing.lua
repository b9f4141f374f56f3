-- It gives nothing.
nothing_loaded = true
