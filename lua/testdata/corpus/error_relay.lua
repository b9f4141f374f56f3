-- Errors on their way through three services: a bank that refuses, a shop that adds its word, an agent that decides by the code.
-- expect: vault is broken
local skynet = require "skynet"
local tools = require "lib.tools"

local mode, below = ...

local roles = {
  bank = {
    pay = function(amount)
      if amount > 100 then error({ code = "poor", missing = amount - 100, history = { 50, 50 } }) end
      if amount < 0 then error("the vault is broken") end
      return 100 - amount
    end,
  },
  shop = {
    buy = function(price)
      local ok, rest = pcall(skynet.call, below, "lua", "pay", price)
      if ok then return rest end
      if rest.code == "poor" then
        rest.shop = "armoury"
        error(rest)
      end
      error(rest, 0) -- of the runtime: it goes on as it is
    end,
  },
  agent = {
    request = function(price)
      local ok, err = pcall(skynet.call, below, "lua", "buy", price)
      if ok then return "ok", err end
      return "failed", err.code, err.missing, err.shop, tostring(err)
    end,
    through = function(price) return skynet.call(below, "lua", "buy", price) end,
  },
}

if roles[mode] then
  skynet.start(function() tools.serve(roles[mode]) end)
  return
end

skynet.start(function()
  local bank = skynet.newservice(SERVICE_NAME, "bank")
  local shop = skynet.newservice(SERVICE_NAME, "shop", bank)
  local agent = skynet.newservice(SERVICE_NAME, "agent", shop)

  local what, rest = skynet.call(agent, "lua", "request", 30)
  assert(what == "ok" and rest == 70)
  local code, missing, where
  what, code, missing, where = skynet.call(agent, "lua", "request", 130)
  assert(what == "failed" and code == "poor" and missing == 30 and where == "armoury")

  local text
  what, code, missing, where, text = skynet.call(agent, "lua", "request", -1)
  assert(what == "failed" and missing == nil and string.find(text, "error_relay.lua:%d+: the vault is broken"))

  local err = tools.fails("", skynet.call, agent, "lua", "through", 200)
  assert(err.code == "poor" and err.missing == 100 and err.history[2] == 50 and err.shop == "armoury")
  err = tools.fails("the vault is broken", skynet.call, agent, "lua", "through", -1)
  assert(err.code == "failed")
  -- One stack of each service, the bank's first.
  local _, stacks = string.gsub(err.traceback, "stack traceback:", "")
  assert(stacks == 4, stacks .. " stacks in " .. err.traceback)

  -- Text that is put together with an error is text.
  assert(string.find("caught " .. err, "^caught .*vault"))
  assert(string.find(err .. "", "vault", 1, true))
  print "ok"
end)
