-- Things on a plane, found by where they are: the plane is cut into cells, so that a search costs what is near and not what exists.
-- A thing is a table with x and y, in one grid at a time.
local Grid = {}
Grid.__index = Grid

function Grid.new(size)
  return setmetatable({ size = size, cells = {} }, Grid)
end

-- Cells are numbered by row and column; a row has room for 2^20 columns.
function Grid:cell_of(x, y)
  return (y // self.size << 20) + x // self.size
end

function Grid:add(thing)
  local key = self:cell_of(thing.x, thing.y)
  local cell = self.cells[key]
  if not cell then
    cell = {}
    self.cells[key] = cell
  end
  cell[#cell + 1] = thing
  thing.cell = key
  thing.slot = #cell
end

-- The last thing of the cell takes the place of the one that goes, so that cells stay lists without gaps.
function Grid:remove(thing)
  local cell = self.cells[thing.cell]
  local last = cell[#cell]
  last.slot = thing.slot
  cell[thing.slot] = last
  cell[#cell] = nil
  thing.cell = nil
  thing.slot = nil
end

function Grid:move(thing, x, y)
  if self:cell_of(x, y) == thing.cell then
    thing.x, thing.y = x, y
    return
  end
  self:remove(thing)
  thing.x, thing.y = x, y
  self:add(thing)
end

-- A list of all things in the cells that the rectangle touches: everything in it, and some beside it.
function Grid:near(x1, y1, x2, y2)
  local found, n = {}, 0
  local size, cells = self.size, self.cells
  for row = y1 // size, y2 // size do
    for column = x1 // size, x2 // size do
      local cell = cells[(row << 20) + column]
      if cell then
        for i = 1, #cell do
          n = n + 1
          found[n] = cell[i]
        end
      end
    end
  end
  return found
end

return Grid
