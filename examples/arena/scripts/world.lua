-- The world's shape. Change it and restart: players whose spot has become a wall are put beside it.
return {
  width = 96,
  height = 96,
  view = 12, -- how far a player sees, in steps, diagonals included
  coins = 190, -- how many lie about at a time
  -- What coins are made of, and how many in a hundred are.
  kinds = { { name = "copper", share = 70 }, { name = "silver", share = 24 }, { name = "gold", share = 6 } },
  -- Where new players arrive; without it they are spread over the whole map.
  -- arrival = { x = 45, y = 41, w = 6, h = 14 },
  -- Rectangles that nobody walks on. Coordinates begin at 0, x to the right, y down.
  walls = {
    { x = 44, y = 40, w = 8, h = 1 }, { x = 44, y = 41, w = 1, h = 4 }, { x = 51, y = 41, w = 1, h = 4 },
    { x = 44, y = 51, w = 1, h = 4 }, { x = 51, y = 51, w = 1, h = 4 }, { x = 44, y = 55, w = 8, h = 1 },
    { x = 16, y = 14, w = 5, h = 3 }, { x = 22, y = 18, w = 2, h = 6 }, { x = 70, y = 12, w = 9, h = 2 },
    { x = 78, y = 14, w = 1, h = 7 }, { x = 12, y = 44, w = 2, h = 10 }, { x = 30, y = 34, w = 4, h = 4 },
    { x = 62, y = 34, w = 4, h = 4 }, { x = 30, y = 58, w = 4, h = 4 }, { x = 62, y = 58, w = 4, h = 4 },
    { x = 82, y = 46, w = 2, h = 10 }, { x = 18, y = 76, w = 9, h = 2 }, { x = 18, y = 70, w = 1, h = 6 },
    { x = 70, y = 76, w = 6, h = 5 }, { x = 44, y = 20, w = 8, h = 2 }, { x = 44, y = 74, w = 8, h = 2 },
  },
}
