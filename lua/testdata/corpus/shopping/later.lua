return { name = "its own" }
