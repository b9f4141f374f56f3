local function item(heals) return { heals = heals, stack = 99 } end

return { potion = item(30), elixir = item(100), season = ... }
