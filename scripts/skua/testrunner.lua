-- Runs one test file as a service, for `skua test`. The file calls describe and it; each test may wait.
local skynet = require "skynet"
local expect = require "skua.expect"

local file, collector = ...

local tests, path = {}, {}

function describe(name, body)
  path[#path + 1] = name
  body()
  path[#path] = nil
end

function it(name, body)
  local full = table.concat(path, " ")
  if full ~= "" then full = full .. " " end
  tests[#tests + 1] = { name = full .. name, body = body }
end

_G.expect = expect

local function run_all()
  for _, test in ipairs(tests) do
    local began = skynet.hpc()
    local ok, err = xpcall(test.body, function(e) return debug.traceback(tostring(e), 2) end)
    skynet.call(collector, "lua", "result", file, test.name, ok, ok and "" or err, (skynet.hpc() - began) / 1e9)
  end
  skynet.send(collector, "lua", "done", file)
end

skynet.start(function()
  require(file)
  skynet.fork(run_all)
end)
