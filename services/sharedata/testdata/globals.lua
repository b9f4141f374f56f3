level, names = ..., { "a", "b" }
total = #names + math.max(1, 2)
