return { sword = 10 }
