-- Errors of all kinds of values, endless recursion, and strings that want to be large: a handler fails, its service does not.
-- expect: handler failed
local skynet = require "skynet"
local tools = require "lib.tools"

local mode = ...

if mode == "clumsy" then
  skynet.start(function()
    local handled = 0
    local function recurse(n) return 1 + recurse(n + 1) end
    local command = {
      ["nil"] = function() error() end,
      number = function() error(42) end,
      boolean = function() error(false) end,
      ["function"] = function() error(print) end,
      table = function() error({ 1, { 2 } }) end,
      unsendable = function() error({ f = print }) end,
      tostring = function() error(setmetatable({}, { __tostring = function() return "my own text" end })) end,
      broken = function() error(setmetatable({}, { __tostring = function() error("even this fails") end })) end,
      recursion = function() return recurse(1) end,
      index = function() local t; return t.x.y end,
      call = function() local t = {}; return t.missing() end,
      arithmetic = function() return {} + 1 end,
      concat = function() return "a" .. {} end,
      compare = function() return {} < {} end,
      pattern = function() return string.find("x", "[a") end,
      format = function() return string.format("%d", "x") end,
      huge = function() return #string.rep("x", 1e10) end,
    }
    skynet.dispatch("lua", function(_, _, what)
      handled = handled + 1
      if what == "handled" then return skynet.retpack(handled) end
      skynet.retpack(command[what]())
    end)
  end)
  return
end

skynet.start(function()
  local clumsy = skynet.newservice(SERVICE_NAME, "clumsy")
  local function fails(what, text) return tools.fails(text, skynet.call, clumsy, "lua", what) end
  fails("nil", "nil")
  fails("number", "42")
  fails("boolean", "false")
  fails("function", "function")
  assert(tools.equal(fails("table", ""), { 1, { 2 } }))
  fails("unsendable", "")
  fails("tostring", "")
  fails("broken", "")
  fails("recursion", "stack overflow")
  fails("index", "odd_errors.lua")
  fails("call", "attempt to call")
  fails("arithmetic", "arithmetic")
  fails("concat", "concatenate")
  fails("compare", "compare")
  fails("pattern", "malformed pattern")
  fails("format", "number expected")
  fails("huge", "")
  assert(skynet.call(clumsy, "lua", "handled") == 18)
  print "ok"
end)
