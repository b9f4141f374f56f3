-- Runs the cases of one file, for TestTheAPIMeansWhatItSays.
local skynet = require "skynet"
local expect = require "service.expect"
local host = require "apitest"

local cases = {}

-- case(name, about, f) is a test of the function `name`: it holds what `about` says. case.exact needs integers of 64 bits.
case = setmetatable({}, { __call = function(_, name, about, f) cases[#cases + 1] = { name, about, f, "" } end })
function case.exact(name, about, f) cases[#cases + 1] = { name, about, f, "exact" } end

-- An echo in Skynet's style, of its own for each case.
function echo() return skynet.newservice("service/echo") end

-- Lets f run until it gives true, for a second at most.
function eventually(f)
  for _ = 1, 200 do
    local v = f()
    if v then return v end
    skynet.sleep(0.5)
  end
  error("it did not happen", 2)
end

_G.expect, logged = expect, host.logged

local M = {}

function M.run(_, file, able)
  require(file)
  local results = {}
  for i, c in ipairs(cases) do
    local ok, err = true, ""
    if able[c[4]] ~= false then
      ok, err = xpcall(c[3], function(e) return debug.traceback(tostring(e), 2) end)
    end
    results[i] = { name = c[1], about = c[2], needs = c[4], err = ok and "" or err }
  end
  return results
end

return M
