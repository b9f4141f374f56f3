-- Has many loops call the workers at random, expects of each call what it has to bring, and replaces workers that it has killed.
local skynet = require "skynet"
require "skynet.manager"
local CMD, workers = {}, {}

local function any() local i = math.random(#workers) return workers[i], i end

-- Puts a new service in the place of one that has ended, unless another loop does.
local renewing = {}

local function replace(address, i)
  if workers[i] ~= address or renewing[i] then return end
  renewing[i] = true
  workers[i] = skynet.newservice("worker")
  renewing[i] = nil
end

-- Whether an error is that a service has ended, which another loop may have brought about.
local function gone(e)
  return type(e) == "table" and (e.code == "stopped" or e.code == "no_actor")
end

-- A call has to fail, and to say that, or because its callee has ended meanwhile.
local function failed(ok, e, what)
  return not ok and (gone(e) or tostring(e):find(what, 1, true) ~= nil)
end

local deeds = {}

function deeds.echo() return skynet.call(any(), "lua", "echo", 42) == 42 end

function deeds.table()
  local t = skynet.call(any(), "lua", "echo", { id = 1, name = "somebody", list = { 1, 2, { 3 } }, on = true })
  return t.list[3][1] == 3 and t.on
end

function deeds.send() skynet.send(any(), "lua", "echo", "one way") return true end

function deeds.fail() local ok, e = pcall(skynet.call, any(), "lua", "fail", "on purpose") return failed(ok, e, "on purpose") end

function deeds.fail_unheard() skynet.send(any(), "lua", "fail", "on purpose") return true end

function deeds.refuse() local ok, e = pcall(skynet.call, any(), "lua", "refuse", "no") return not ok and (gone(e) or e.code == "no" and e.message == "on purpose") end

function deeds.broken() local ok, e = pcall(skynet.call, any(), "lua", "broken") return failed(ok, e, "nil value") end

function deeds.ask() local depth = math.random(4) return skynet.call(any(), "lua", "ask", any(), depth) == depth end

function deeds.nap() return skynet.call(any(), "lua", "nap") == "rested" end

function deeds.locked() return skynet.call(any(), "lua", "locked", 7) == 7 end

function deeds.crowd() return skynet.call(any(), "lua", "crowd", 5) == 15 end

function deeds.keys() return skynet.call(any(), "lua", "keys", 20) == 20 end

function deeds.text() return skynet.call(any(), "lua", "text", 100) == 2600 end

function deeds.later() return skynet.call(any(), "lua", "later") == "later" end

function deeds.never() local ok, e = pcall(skynet.call_timeout, 1, any(), "lua", "never") return not ok and (gone(e) or e.code == "deadline") end

function deeds.leave()
  local address, i = any()
  local ok, e = pcall(skynet.call, address, "lua", "leave")
  replace(address, i)
  return not ok and gone(e)
end

function deeds.kill()
  local address, i = any()
  skynet.kill(address)
  local ok, e = pcall(skynet.call, address, "lua", "echo")
  replace(address, i)
  return not ok and gone(e)
end

function deeds.agent()
  local agent = skynet.newservice({ "agent", shard = true }, 40)
  skynet.send(agent, "lua", "nap")
  local ok, e = pcall(skynet.call, agent, "lua", "fail")
  local right = failed(ok, e, "on purpose") and skynet.call(agent, "lua", "add", 2) == 42
  if math.random(2) == 1 then skynet.kill(agent) else pcall(skynet.call, agent, "lua", "leave") end
  return right
end

local names = {}
for name in pairs(deeds) do names[#names + 1] = name end
table.sort(names)

function CMD.populate(n)
  for i = 1, n do workers[i] = skynet.newservice("worker") end
end

-- Does deeds for so many seconds, in_flight at a time. Returns how many were done, and of these how many failed because their callee had been killed by another.
function CMD.run(seconds, in_flight)
  local over = skynet.now() + seconds * 100
  local left, done, killed, token, wrong = in_flight, 0, 0, {}, nil
  for _ = 1, in_flight do
    skynet.fork(function()
      while skynet.now() < over and not wrong do
        local name = names[math.random(#names)]
        local ok, right = pcall(deeds[name])
        if not ok and not gone(right) then
          wrong = name .. ": " .. tostring(right)
        elseif not ok then
          killed = killed + 1
        elseif not right then
          wrong = name .. ": the answer is wrong"
        end
        done = done + 1
      end
      left = left - 1
      if left == 0 then skynet.wakeup(token) end
    end)
  end
  skynet.wait(token)
  if wrong then error(wrong) end
  skynet.sleep(5) -- for what was sent, and for timers
  return done, killed
end

skynet.start(function()
  skynet.dispatch("lua", function(_, _, cmd, ...) skynet.ret(skynet.pack(CMD[cmd](...))) end)
end)
