local skynet = require "skynet"
local snax = require "skynet.snax"

local seats, guests = 0, {}

function init(n)
  if n == 0 then error("no room for " .. n) end
  seats = n
end

function exit(why)
  if #guests > 0 then error("there are guests") end
  snax.printf("closed: %s", why)
end

function response.enter(name)
  if #guests == seats then return nil end
  guests[#guests + 1] = name
  return #guests
end

function accept.leave_all() guests = {} end

function response.fail()
  skynet.sleep(1)
  error("the floor is wet")
end

function accept.fail() error("the floor is wet") end

function response.refuse(seat) error({ code = "full", seat = seat }) end

function response.ask(handle, name) return snax.bind(handle, name).req.fail() end
