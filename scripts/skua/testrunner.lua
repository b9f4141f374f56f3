-- Runs one test file as a service, for `skua test`. Each test has a coroutine of its own and may wait.
local skynet = require "skynet"
local core = require "skua.test.core"
local test = require "skua.test"
local tree = require "skua.test.tree"
local mocks = require "skua.test.mocks"
local values = require "skua.test.values"
local waits = require "skua.test.waits"

local file = ...
local unpack = table.unpack or unpack

for name, f in pairs(test) do _G[name] = f end

-- A text with a traceback behind it of which the test's own functions, and those that it calls, are left.
local function own(text, trace)
  local lines = {}
  for line in string.gmatch(trace, "[^\n]+") do
    local ours = string.find(line, "skua/test", 1, true) or string.find(line, "skua/expect", 1, true) or string.find(line, "^%s*skua:%d")
    if not ours and not string.find(line, "^%s*%[[CG]%]: in ") then lines[#lines + 1] = line end
  end
  if #lines < 2 then return text end
  return text .. "\n" .. table.concat(lines, "\n")
end

local function traced(err)
  if type(err) == "table" and type(err.traceback) == "string" and err.traceback ~= "" then -- of a call that failed: it ends with the stack of the test
    return own(tostring(err.message), err.traceback)
  end
  return own(values.text(err), debug.traceback("", 2))
end

-- What runs now, so that it can be given up.
local running

-- Calls f in a coroutine of its own; gives how it failed, nil if it did not.
local function attempt(f)
  local a = {}
  running = a
  skynet.fork(function()
    a.co = coroutine.running()
    local ok, err = xpcall(f, traced)
    if a.done then return end
    if not ok then a.err = err end
    a.done = true
    skynet.wakeup(a)
  end)
  skynet.wait(a)
  running = nil
  return a.err
end

-- Looks whether what runs now lives: the runtime ends what has used up its CPU budget, between any two steps of attempt.
local function look()
  local a = running
  if not a or not a.co or coroutine.status(a.co) ~= "dead" then return end
  a.done, a.err = true, "it has computed for longer than a handler may without a wait, and was ended: the node's log tells where"
  skynet.wakeup(a)
end

-- Gives up what runs now: its time is over.
local function late(why)
  local a = running
  if not a or a.done then return end
  a.done = true
  local ok, trace = pcall(debug.traceback, a.co, "")
  a.err = ok and own(why, trace) or why
  if skynet.killthread then pcall(skynet.killthread, a.co) end
  skynet.wakeup(a)
end

local function run_list(list)
  for _, f in ipairs(list) do f() end
end

-- What is run around a test: groups from the outermost to the innermost.
local function before(groups)
  for _, g in ipairs(groups) do run_list(g.before_each) end
end

local function after(groups)
  for i = #groups, 1, -1 do
    local err = attempt(function() run_list(groups[i].after_each) end)
    if err then return err end
  end
end

local function name_of(groups, item)
  local parts = {}
  for _, g in ipairs(groups) do
    if g.name ~= "" then parts[#parts + 1] = g.name end
  end
  parts[#parts + 1] = item
  return table.concat(parts, " ")
end

-- broken is why the tests of a group can't run.
local function run_test(item, groups, broken)
  local name = name_of(groups, item.name)
  if not core.wanted(name) then return end
  if not item.body then
    core.result(name, "skipped", "", 0)
    return
  end
  waits.wait(core.begin, name)
  mocks.begin()
  local began = skynet.hpc()
  local err = broken or attempt(function()
    before(groups)
    item.body()
  end)
  if not broken then
    local also = after(groups)
    err = err or also
  end
  local took = (skynet.hpc() - began) / 1e9
  mocks.clear()
  waits.wait(core.clear)
  core.result(name, err and "failed" or "passed", err or "", took)
end

-- Whether a group has a test that is to be run.
local function wanted(group, groups)
  for _, item in ipairs(group.items) do
    if item.test then
      if item.body and core.wanted(name_of(groups, item.name)) then return true end
    else
      local inner = { unpack(groups) }
      inner[#inner + 1] = item
      if wanted(item, inner) then return true end
    end
  end
  return false
end

-- Runs a hook of a whole group, whose time is limited as a test's is. What it starts stays.
local function run_hook(list, groups, what)
  if #list == 0 then return end
  local name = name_of(groups, what)
  waits.wait(core.begin, name)
  local err = attempt(function() run_list(list) end)
  core.thaw()
  return err, name
end

local function run_group(group, groups, broken)
  groups[#groups + 1] = group
  local any = wanted(group, groups)
  if any and not broken then broken = run_hook(group.before_all, groups, "before_all") end
  for _, item in ipairs(group.items) do
    if item.test then
      run_test(item, groups, broken)
    else
      run_group(item, groups, broken)
    end
  end
  if any then
    local err, name = run_hook(group.after_all, groups, "after_all")
    if err then core.result(name, "failed", err, 0) end
  end
  groups[#groups] = nil
end

if skynet.register_protocol then
  skynet.register_protocol { name = "skua.test", id = core.type, pack = skynet.pack, unpack = skynet.unpack }
end

skynet.dispatch(core.type, function(session, _, what, ...)
  if what == "mock" then
    mocks.handle(session, ...)
  elseif what == "go" then
    waits.go(...)
  elseif what == "look" then
    look()
  elseif what == "late" then
    late(...)
  elseif what == "run" then
    tree.close()
    run_group(tree.root, {})
    core.done()
  end
end)

skynet.start(function()
  require(file)
end)
