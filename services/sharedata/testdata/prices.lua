return { 10, 20, 30 }
