-- The first service: guilds are started by who speaks to them, and agents by the gate.
return {}
