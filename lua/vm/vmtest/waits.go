package vmtest

const (
	nestedTopic = "waits in coroutines"
	throwTopic  = "errors of the host"
	memoryTopic = "memory"
)

// nestedWaits are waits of the host in coroutines that the script has made itself: they go through to the host, and coroutine.yield still goes to the resume.
func nestedWaits() []Case {
	return []Case{
		{nestedTopic, "resume", `local co = coroutine.create(function(a) return wait(a, 5) end) return coroutine.resume(co, 1)`, "true | 1 | 5", nil},
		{nestedTopic, "wrap", `return coroutine.wrap(function(a) local b = wait(a) return b, 2 end)(1)`, "1 | 2", nil},
		{nestedTopic, "of the function itself", `return coroutine.resume(coroutine.create(wait), 1, nil, 3)`, "true | 1 | nil | 3", nil},
		{nestedTopic, "tail calls", `local function f(n) if n == 0 then return wait("x") end return coroutine.wrap(f)(n - 1) end return f(5)`, "x", nil},
		{nestedTopic, "many in each other", `local function f(n) if n == 0 then return (wait(0)) end return 1 + coroutine.wrap(f)(n - 1) end return f(100)`, "100", nil},
		{nestedTopic, "yields in between", `local next = coroutine.wrap(function() for i = 1, 3 do wait() coroutine.yield(i) wait() end return "last"; end)
			local a, b = next(), next() return a, b, wait(next()), next()`, "1 | 2 | 3 | last", nil},
		{nestedTopic, "yield through a wait of the outer one", `local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b + 1 end)
			return coroutine.wrap(function() local x = co(1) wait() return x, co(10) end)()`, "2 | 11", nil},
		{nestedTopic, "iterator", `local s = 0 for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(wait(i)) end; end) do s = s + wait(v) end return s`, "6", nil},
		{
			nestedTopic, "fewer values than variables", `local co = coroutine.create(function() return wait(1) end) local ok, a, b = coroutine.resume(co) local c = 5 return ok, a, b, c`,
			"true | 1 | nil | 5", nil,
		},
		{nestedTopic, "pcall within", `return coroutine.resume(coroutine.create(function() return pcall(function() wait() error("x", 0) end) end))`, "true | false | x", nil},
		{nestedTopic, "pcall around", `return pcall(coroutine.wrap(function() wait() error({}, 0) end)) == false`, "true", nil},
		{nestedTopic, "error behind a wait", `local co = coroutine.create(function() wait() error("x", 0) end)
			local ok, e = coroutine.resume(co) return ok, e, coroutine.status(co)`, "false | x | dead", nil},
		{nestedTopic, "error through several", `local function f(n) if n == 0 then wait() error({ code = 7 }) end return coroutine.wrap(f)(n - 1) end
			local ok, e = pcall(f, 5) return ok, e.code`, "false | 7", nil},
		{nestedTopic, "closed variables", `local f = coroutine.wrap(function() local x = 1 local f = function() x = x + 1 return x end wait() x = x + 10 return f end)()
			return f(), f()`, "12 | 13", nil},
		{
			nestedTopic, "running", `local co; co = coroutine.create(function() wait() return coroutine.running() == co, coroutine.status(co) end) return coroutine.resume(co)`,
			"true | true | running", nil,
		},
		{nestedTopic, "status of the outer one", `local outer = coroutine.running()
			return coroutine.wrap(function() local a = coroutine.status(outer) wait() return a, coroutine.status(outer) end)()`, "normal | normal", nil},
		{nestedTopic, "status afterwards", `local co = coroutine.create(function() wait() coroutine.yield() wait() end)
			coroutine.resume(co) local a = coroutine.status(co) coroutine.resume(co) return a, coroutine.status(co)`, "suspended | dead", nil},
		{nestedTopic, "status while it waits", `local co; co = coroutine.create(function() return meanwhile(function() return coroutine.status(co) end); end)
			return coroutine.resume(co)`, "true | normal", nil},
		{nestedTopic, "resume while it waits", `local co; co = coroutine.create(function() return meanwhile(function() return coroutine.resume(co) end); end)
			return coroutine.resume(co)`, "true | false | cannot resume non-suspended coroutine", nil},
		{
			nestedTopic, "resume of a thread of the host that waits", `local me = coroutine.running() return meanwhile(function() return coroutine.resume(me) end)`,
			"false | cannot resume non-suspended coroutine", nil,
		},
		{
			nestedTopic, "status of a thread of the host that waits", `local me = coroutine.running() return meanwhile(function() return coroutine.status(me) end)`,
			"suspended", nil,
		},
		{nestedTopic, "close while it waits", `local co; co = coroutine.create(function() return meanwhile(function() return pcall(coroutine.close, co) end); end)
			return coroutine.resume(co)`, "true | false | cannot close a normal coroutine", nil},
		{nestedTopic, "not in a callback around it", `local ok, e = pcall(string.gsub, "a", "a", function() coroutine.wrap(function() wait() end)() end)
			return ok, (tostring(e):find("attempt to yield across a ", 1, true) ~= nil)`, "false | true", nil},
		{nestedTopic, "behind one that was not possible", `pcall(table.sort, { 2, 1 }, function() coroutine.wrap(wait)() end) return coroutine.wrap(wait)(1)`, "1", nil},
	}
}

// throws are waits that the host ends with an error.
func throws() []Case {
	return []Case{
		{throwTopic, "caught", `return pcall(fail, "x")`, "false | x", nil},
		{throwTopic, "not caught", `fail("x")`, "error: x", nil},
		{throwTopic, "a table", `local ok, e = pcall(fail, { code = 1 }) return ok, e.code`, "false | 1", nil},
		{throwTopic, "nil", `return pcall(fail, nil)`, "false | nil", nil},
		{throwTopic, "handler", `return xpcall(function() fail("x") end, function(e) return e .. "!" end)`, "false | x!", nil},
		{throwTopic, "the place", "local function f()\nfail('x') end\n" +
			`local _, t = xpcall(f, debug.traceback) return t:find("^x\n") ~= nil, t:find("test.lua:2:", 1, true) ~= nil`, "true | true", nil},
		{throwTopic, "variables", `local x = 1 local f = function() x = x + 1 end local ok = pcall(function() local y = x f() fail(y) end) f() return ok, x`, "false | 3", nil},
		{throwTopic, "waits behind it", `local ok, e = pcall(fail, "x") return ok, e, wait(1)`, "false | x | 1", nil},
		{throwTopic, "in a loop", `local n = 0 for i = 1, 100 do local ok, e = pcall(fail, i) n = n + e end return n`, "5050", nil},
		{throwTopic, "in a coroutine", `return coroutine.resume(coroutine.create(function() local ok, e = pcall(fail, "x") return ok, e, wait(2) end))`, "true | false | x | 2", nil},
		{throwTopic, "ends a coroutine", `local co = coroutine.create(fail) local ok, e = coroutine.resume(co, "x") return ok, e, coroutine.status(co)`, "false | x | dead", nil},
		{throwTopic, "through a coroutine", `local ok, e = pcall(coroutine.wrap(function() fail({ code = 2 }) end)) return ok, e.code`, "false | 2", nil},
	}
}

// memoryCases keep more than they may.
func memoryCases() []Case {
	const grow = `local function grow() local t, i = {}, 0 while true do i = i + 1 t["k" .. i] = { i } end; end `
	return []Case{
		{memoryTopic, "caught", grow + `return pcall(grow)`, "false | not enough memory", nil},
		{memoryTopic, "not caught", grow + `grow()`, "error: not enough memory", nil},
		{memoryTopic, "given back", grow + `for i = 1, 3 do pcall(grow) end return pcall(grow)`, "false | not enough memory", nil},
		{memoryTopic, "in a coroutine", grow + `return coroutine.resume(coroutine.create(grow))`, "false | not enough memory", nil},
		{memoryTopic, "rep", `return pcall(string.rep, "x", 100000000)`, "false | not enough memory", nil},
		{memoryTopic, "concatenation", `local s = "x" return pcall(function() while true do s = s .. s end end)`, "false | not enough memory", nil},
		{memoryTopic, "garbage", `for i = 1, 300000 do local t = { i, "x" .. i } end return "fine"`, "fine", nil},
		{memoryTopic, "the same string", `local t, s = {}, ("x"):rep(1000000) for i = 1, 1000 do t[i] = s end return #t`, "1000", nil},
	}
}
