return {
  list = { sword = 100, bow = 60 },
  discount = function(price) return price * 0.9 end,
}
