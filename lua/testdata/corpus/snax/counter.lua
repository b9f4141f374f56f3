local skynet = require "skynet"

local n, name

function accept.add(by) n = n + by end

function response.get() return n, name end

function response.echo(...) return ... end

function response.slow(cs)
  skynet.sleep(cs)
  return "slept " .. cs
end

function response.twice(by)
  accept.add(by)
  response.twice_more(by)
  return n
end

function response.twice_more(by) accept.add(by) end

function helper() return "helper of " .. name end

function response.globals() return helper() end

function init(first, what)
  n, name = first or 0, what
end
