-- Runs the cases that come on standard input, each behind its length, and answers each with what it makes of it, behind its length. The host of a case is
-- written in Lua here: its functions yield with a mark that resume and wrap, which are replaced, hand on to the host.
local create, resume, yield, status, close = coroutine.create, coroutine.resume, coroutine.yield, coroutine.status, coroutine.close
local mark, waiting, main = {}, setmetatable({}, { __mode = "k" }), nil

local function handOn(co, ok, first, ...)
  if ok and first == mark then
    waiting[co] = true
    return handOn(co, resume(co, yield(mark, ...)))
  end
  waiting[co] = nil
  return ok, first, ...
end

function coroutine.resume(co, ...)
  if waiting[co] or co == main and status(co) == "suspended" then return false, "cannot resume non-suspended coroutine" end
  return handOn(co, resume(co, ...))
end

local function raised(ok, first, ...)
  if ok then return first, ... end
  error(first, type(first) == "string" and 3 or 0)
end

function coroutine.wrap(f)
  local co = create(f)
  return function(...) return raised(coroutine.resume(co, ...)) end
end

function coroutine.status(co)
  local is = status(co)
  return waiting[co] and is == "suspended" and "normal" or is
end

function coroutine.close(co)
  if waiting[co] then error("cannot close a normal coroutine", 0) end
  return close(co)
end

local function goOn(how, ...)
  if how == "throw" then error((...), 0) end
  return ...
end

function wait(...) return goOn(yield(mark, "wait", ...)) end
function fail(...) return goOn(yield(mark, "fail", ...)) end
function meanwhile(...) return goOn(yield(mark, "meanwhile", ...)) end

local host = {}

function host.wait(...) return resume(main, "wait", ...) end
function host.fail(e) return resume(main, "throw", e) end
function host.meanwhile(f) return resume(main, "wait", select(2, resume(create(f)))) end

local function run(ok, ...)
  if ok and ... == mark then return run(host[select(2, ...)](select(3, ...))) end
  if not ok then return "error: " .. tostring((...)) end
  local texts = table.pack(...)
  for i = 1, texts.n do texts[i] = tostring(texts[i]) end
  return table.concat(texts, " | ")
end

while true do
  local n = io.read("l")
  if not n then return end
  local chunk, problem = load((io.read(tonumber(n)):gsub("^#[^\n]*", "", 1)), "=test.lua") -- without a line for the shell, as in a file
  local out
  if chunk then
    main = create(chunk)
    out = run(resume(main))
  else
    out = "error: " .. problem
  end
  io.write(#out, "\n", out)
  io.flush()
end
