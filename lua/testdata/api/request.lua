local skynet = require "skynet"

case("request", "makes several calls at once and takes the answers as they come", function()
  local a, b, order = echo(), echo(), {}
  for req, resp in skynet.request { a, "lua", "sleep", 5, "slow" } { b, "lua", "echo", "fast" }:select() do
    order[#order + 1] = resp[1]
    expect(req[1] == a or req[1] == b).to_be(true)
  end
  expect(order).to_equal({ "fast", "slow" })
end)

case("request", "takes calls with add, and keeps nil in answers", function()
  local r = skynet.request()
  for i = 1, 3 do r:add { echo(), "lua", "echo", i, nil, "end", n = 6 } end
  local sum = 0
  for _, resp in r:select() do
    sum = sum + resp[1]
    expect(resp.n).to_be(3)
    expect(resp[3]).to_be("end")
  end
  expect(sum).to_be(6)
end)

case("request", "gives false and the error for a call that fails, nil for one that can't be made", function()
  local bad, failed, fine = 0, 0, 0
  for _, resp, err in skynet.request { echo(), "lua", "fail" } { ".nobody", "lua" } { echo(), "lua", "echo", 1 }:select() do
    if resp then
      fine = fine + 1
    elseif resp == nil then
      bad = bad + 1
      expect(err:find("no service is registered", 1, true) ~= nil).to_be(true)
    else
      failed = failed + 1
      expect(err.code).to_be("failed")
    end
  end
  expect({ bad, failed, fine }).to_equal({ 1, 1, 1 })
end)

case("request", "ends when its time is over", function()
  local r = skynet.request { echo(), "lua", "hang" } { echo(), "lua", "echo", 1 }
  local n = 0
  for _ in r:select(3) do n = n + 1 end
  expect(n).to_be(1)
  expect(r.timeout).to_be(true)
  r:close()
end)

case("request", "can be selected once", function()
  local r = skynet.request { echo(), "lua", "echo" }
  r:select()
  expect(function() r:select() end).to_fail("select has been called already")
  expect(function() r:add {} end).to_fail("select has been called already")
  expect(function() skynet.request(7) end).to_fail("a table { address, type, ... } is expected, got number")
  r:close()
end)
