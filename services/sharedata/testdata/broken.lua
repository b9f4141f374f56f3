local t = {}
t.x.y = 1
return t
