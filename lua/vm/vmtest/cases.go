package vmtest

// gopher is the name of the engine that differences are declared for.
const gopher = "gopher"

const (
	no54Syntax = "Lua 5.1 has no such syntax"
	floats     = "all numbers are float64"
	noCrossing = "a wait can be taken out of functions, coroutines, iterators, `pcall` and `xpcall` only"
)

func on(engine, want, why string) map[string]Difference {
	return map[string]Difference{engine: {want, why}}
}

const acrossGo = "test.lua:1: attempt to yield across a Go-call boundary: with the engine gopher a wait is possible in functions, " +
	"coroutines, iterators, pcall and xpcall, not in metamethods and callbacks of the library"

// Cases are all of them.
func Cases() []Case {
	var all []Case
	for _, topic := range [][]Case{waits(), nestedWaits(), throws(), memoryCases(), errorCases(), closures(), coroutines(), numbers(), syntax(), control(), assignments(), texts(), tables(), utf8s(), sandbox()} {
		all = append(all, topic...)
	}
	return all
}

func waits() []Case {
	const t = "waits"
	return []Case{
		{t, "function", `local function f(x) local y = wait(x) return y end return f(1), (wait(2))`, "1 | 2", nil},
		{t, "tail call", `local function f(x) return wait(x, x + 1) end return f(1)`, "1 | 2", nil},
		{t, "tail call at the bottom", `return wait(1, 2, 3)`, "1 | 2 | 3", nil},
		{t, "fewer values than variables", `local a, b, c = wait(1) return a, b, c`, "1 | nil | nil", nil},
		{t, "more values than variables", `local a = wait(1, 2, 3) local b = 5 return a, b`, "1 | 5", nil},
		{t, "statement", `local a, b = 1, 2 wait(7, 8, 9) return a, b`, "1 | 2", nil},
		{t, "arguments", `return select("#", wait(1, nil, nil)), (select(2, wait(4, 5)))`, "3 | 5", nil},
		{t, "table constructor", `local t = { wait(1, 2), wait(3, 4) } return #t, t[1], t[2], t[3]`, "3 | 1 | 3 | 4", nil},
		{t, "pcall", `return pcall(function(x) return wait(x), 2 end, 1)`, "true | 1 | 2", nil},
		{t, "pcall of the function itself", `return pcall(wait, 1, 2)`, "true | 1 | 2", nil},
		{t, "error behind a wait in pcall", `return pcall(function() wait() error("x") end)`, "false | test.lua:1: x", nil},
		{t, "xpcall", `return xpcall(function(x) return wait(x) end, debug.traceback, 1)`, "true | 1", nil},
		{t, "handler behind a wait", `return xpcall(function() wait() error("x", 0) end, function(e) return e .. "!" end)`, "false | x!", nil},
		{t, "nested pcall", `return pcall(pcall, pcall, function() wait() error("x", 0) end)`, "true | true | false | x", nil},
		{t, "pcall in a loop", `local n = 0 for i = 1, 100 do local ok, v = pcall(wait, i) n = n + v pcall(error) end return n`, "5050", nil},
		{t, "deep", `local function f(n) if n == 0 then return (wait(1)) end return 1 + f(n - 1) end return f(100)`, "101", nil},
		{t, "own coroutine in between", `local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b + 1 end)
			local x = co(1) wait() return x, co(10)`, "2 | 11", nil},
		{t, "__index", `return (setmetatable({}, { __index = function(_, k) return wait(k) end }).x)`, "x", on(gopher, "error: "+acrossGo, noCrossing)},
		{t, "__add", `return setmetatable({}, { __add = function(_, n) return (wait(n)) end }) + 1`, "1", on(gopher, "error: "+acrossGo, noCrossing)},
		{t, "iterator", `for v in function(_, v) if not v then return (wait(1)) end; end do return v end`, "1", nil},
		{t, "table.sort", `return (pcall(table.sort, { 3, 2, 1 }, function() wait() end))`, "false", nil},
		{t, "gsub callback", `return (pcall(string.gsub, "abc", ".", function() wait() end))`, "false", nil},
		{t, "wait behind one that failed", `pcall(table.sort, { 3, 2, 1 }, function() wait() end) return wait(1)`, "1", nil},
	}
}

func errorCases() []Case {
	const t = "errors"
	return []Case{
		{t, "position", "\nerror('x')", "error: test.lua:2: x", nil},
		{t, "level 2", "local function f() error('x', 2) end\nf()", "error: test.lua:2: x", nil},
		{t, "level 0", `error("x", 0)`, "error: x", nil},
		{t, "table", `local ok, e = pcall(error, { code = 1 }) return ok, e.code`, "false | 1", nil},
		{t, "nil", `return pcall(error)`, "false | nil", nil},
		{t, "pcall of error has no position", `return pcall(error, "x")`, "false | x", nil},
		{t, "assert", `return pcall(assert, false, "x")`, "false | x", nil},
		{t, "assert with a table", `local e = {} return select(2, pcall(assert, nil, e)) == e`, "true", nil},
		{t, "assert without a message", `return pcall(assert, nil)`, "false | assertion failed!", nil},
		{
			t, "call of nil", `local x = nil x()`, "error: test.lua:1: attempt to call a nil value (local 'x')",
			on(gopher, "error: test.lua:1: attempt to call a nil value ('x')", "less is known of variables"),
		},
		{
			t, "index of nil", `local x = nil return x.y`, "error: test.lua:1: attempt to index a nil value (local 'x')",
			on(gopher, "error: test.lua:1: attempt to index a nil value (to get or set 'y')", "less is known of variables; the key is told"),
		},
		{t, "arithmetic", `return {} + 1`, "error: test.lua:1: attempt to perform arithmetic on a table value", nil},
		{t, "concatenation", `return "x" .. nil`, "error: test.lua:1: attempt to concatenate a nil value", nil},
		{t, "error in a handler", `return (xpcall(error, function() error("again") end, "x"))`, "false", nil},
		{t, "xpcall with arguments", `return xpcall(function(...) return ... end, error, 1, 2)`, "true | 1 | 2", nil},
		{t, "traceback", "local function f() error('x') end\nlocal function g() f() end\n" +
			`local _, t = xpcall(g, debug.traceback) return t:find("test.lua:1:", 1, true) and t:find("test.lua:2:", 1, true) and true`, "true", nil},
		{t, "__tostring", `return tostring(setmetatable({}, { __tostring = function() return "me" end }))`, "me", nil},
		{t, "stack overflow", `local function f() return 1 + f() end local ok, e = pcall(f) return ok, e:find("stack overflow") ~= nil`, "false | true", nil},
		{t, "pcall behind a stack overflow", `local function f() return 1 + f() end pcall(f) return pcall(wait, 1)`, "true | 1", nil},
		{t, "syntax", "x = = 1", "error: test.lua:1: unexpected symbol near '='", on(gopher, "error: test.lua:1: syntax error near '='", "another compiler")},
	}
}

func closures() []Case {
	const t = "closures"
	return []Case{
		{t, "shared behind a caught error", `local x = 1 local f = function() x = x + 1 end pcall(error, "e") f() return x`, "2", nil},
		{t, "shared behind a wait", `local x = 1 local f = function() x = x + 1 end wait() f() return x`, "2", nil},
		{t, "of what an error has left", `local f pcall(function() local x = 1 f = function() x = x + 1 return x end error() end) f() return f()`, "3", nil},
		{t, "of a loop", `local fs = {} for i = 1, 3 do fs[i] = function() return i end; end return fs[1](), fs[2](), fs[3]()`, "1 | 2 | 3", nil},
		{t, "of a coroutine that failed", `local f local co = coroutine.create(function() local x = 5 f = function() return x end error("e") end)
			coroutine.resume(co) return f()`, "5", nil},
		{t, "of an iterator", `local fs = {} for k in pairs({ a = 1 }) do fs[1] = function() return k end; end return fs[1]()`, "a", nil},
	}
}

func coroutines() []Case {
	const t = "coroutines"
	return []Case{
		{t, "values", `local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) return c * 2 end)
			local _, x = coroutine.resume(co, 1, 2) local _, y = coroutine.resume(co, 5) return x, y, coroutine.status(co)`, "3 | 10 | dead", nil},
		{t, "error", `local ok, e = coroutine.resume(coroutine.create(function() error("x", 0) end)) return ok, e`, "false | x", nil},
		{t, "dead", `local co = coroutine.create(function() end) coroutine.resume(co) return coroutine.resume(co)`, "false | cannot resume dead coroutine", nil},
		{t, "wrap", `local s = 0 for v in coroutine.wrap(function() for i = 1, 3 do coroutine.yield(i) end; end) do s = s + v end return s`, "6", nil},
		{t, "wrap raises", `return pcall(coroutine.wrap(function() error({}) end)) == false`, "true", nil},
		{t, "yield in pcall", `local co = coroutine.wrap(function() return pcall(function() return coroutine.yield(1) + 1 end); end) co() return co(2)`, "true | 3", nil},
		{t, "running", `local co, main = coroutine.running() return type(co), main`, "thread | false", nil},
		{t, "isyieldable", `return coroutine.isyieldable()`, "true", nil},
		{t, "close", `local co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co)
			return coroutine.close(co), coroutine.status(co)`, "true | dead", nil},
		{t, "close of a failed one", `local co = coroutine.create(error) coroutine.resume(co, "x") return coroutine.close(co)`, "false | x", nil},
		{
			t, "itself", `local co; co = coroutine.create(function() return coroutine.resume(co) end) return select(3, coroutine.resume(co))`,
			"cannot resume non-suspended coroutine", nil,
		},
		{t, "status within", `local co; co = coroutine.create(function() return coroutine.status(co) end) return select(2, coroutine.resume(co))`, "running", nil},
		{
			t, "too many within each other", `local function f() return coroutine.wrap(f)() end local ok, e = pcall(f) return ok, e:find("stack overflow") ~= nil`,
			"false | true", nil,
		},
	}
}

func numbers() []Case {
	const t = "numbers"
	return []Case{
		{
			t, "integer beyond 2^53", `return 9007199254740993`, "9007199254740993",
			on(gopher, "error: test.lua:1: the integer 9007199254740993 is beyond 2^53: the engine gopher would round it", floats),
		},
		{t, "2^53", `return 9007199254740992, -9007199254740992`, "9007199254740992 | -9007199254740992", nil},
		{t, "maxinteger", `return math.maxinteger`, "9223372036854775807", on(gopher, "9007199254740992", floats+"; this is up to where they are exact")},
		{
			t, "float that is whole", `return 10 / 2, 2 ^ 2, 1e3`, "5.0 | 4.0 | 1000.0",
			on(gopher, "5 | 4 | 1000", floats),
		},
		{t, "math.type", `return math.type(1), math.type(1.5), math.type("1")`, "integer | float | nil", nil},
		{t, "math.tointeger", `return math.tointeger(3.0), math.tointeger(3.5), math.tointeger("8")`, "3 | nil | 8", nil},
		{t, "huge", `return math.huge > 1e308, -math.huge < -1e308`, "true | true", nil},
		{
			t, "tostring of huge", `return math.huge, -math.huge`, "inf | -inf",
			on(gopher, "+Inf | -Inf", "its concatenation prints so, and tostring with it"),
		},
		{t, "floats as text", `return 0.1, 1.5, -0.25, 1e100`, "0.1 | 1.5 | -0.25 | 1e+100", nil},
		{t, "digits of a float", `return 0.1 + 0.2`, "0.3", on(gopher, "0.30000000000000004", "prints as many digits as it takes")},
		{
			t, "tonumber", `return tonumber("0x10"), tonumber("  12  "), tonumber("1e1"), tonumber("z", 36), tonumber("9", 8), tonumber(""), tonumber("1 2")`,
			"16 | 12 | 10.0 | 35 | nil | nil | nil",
			on(gopher, "16 | 12 | 10 | 35 | nil | nil | nil", floats),
		},
		{t, "floor and ceil", `return math.floor(1.5), math.ceil(1.5), math.floor(-1.5)`, "1 | 2 | -2", nil},
		{t, "modulo", `return 5 % 3, -5 % 3, 5 % -3`, "2 | 1 | -1", nil},
		{
			t, "division by zero", `return 1 // 0`, "error: test.lua:1: attempt to divide by zero",
			on(gopher, "error: test.lua:1: syntax error near '/'", no54Syntax),
		},
		{
			t, "log", `return math.log(8, 2), math.log(100, 10)`, "3.0 | 2.0",
			on(gopher, "3 | 2", floats),
		},
		{t, "random", `local r = math.random(5, 5) return r, (pcall(math.random, 2, 1))`, "5 | false", nil},
		{t, "ult", `return math.ult(1, 2), math.ult(-1, 2)`, "true | false", nil},
		{t, "strings as numbers", `return "10" + 5, "3" * "4"`, "15 | 12", nil},
		{
			t, "strings in arithmetic", `
			local m = setmetatable({}, { __add = function() return "called" end })
			return "10" + m, m + "10", -"2", "7" % -3, 2 - "0x10", (pcall(function() return "x" + 1 end)), (pcall(function() return {} * "2" end))`,
			"called | called | -2 | -2 | -14 | false | false", nil,
		},
		{t, "comparison", `return 1 < 2, "a" < "b", pcall(function() return 1 < "2" end) == false`, "true | true | true", nil},
	}
}

//nolint:dupword // it is Lua
func control() []Case {
	const t = "control"
	return []Case{
		{t, "goto", `local n = 0 for i = 1, 5 do if i % 2 == 0 then goto continue end n = n + i ::continue:: end return n`, "9", nil},
		{t, "goto back to a jump", `
			local n, m, k, j = 0, 0, 0, 0
			::top::
			if false then n = 100 end
			n = n + 1
			if n < 4 then goto top end
			::again::
			goto on
			::on::
			m = m + 1
			if m < 4 then goto again end
			::third::
			do
				if nil then k = 50 end
				k = k + 1
			end
			if k < 3 then goto third end
			while true do
				::c::
				if j >= 5 then break end
				j = j + 1
				if j % 2 == 0 then goto c end
			end
			return n, m, k, j`, "4 | 4 | 3 | 5", nil},
		{t, "break in the middle", `while true do break local x = 1 end return 1`, "1", nil},
		{t, "loop that begins with what is false", `
			local n, m, k, one = 0, 0, 0, 1
			while (nil and x or one) do n = n + 1 if n > 3 then break end; end
			repeat if false and one then m = 100 end m = m + 1 until m > 3
			while true do if nil then k = 100 end k = k + 1 if k > 3 then break end; end
			while not false or one do one = one + 1 if one > 3 then break end; end
			return n, m, k, one, nil or not nil and false`, "4 | 4 | 4 | 4 | false", nil},
	}
}

func assignments() []Case {
	const t = "assignments"
	return []Case{
		{t, "values that change places", `local a, b, c = 1, 2, 3 a, b = b, a a, b, c = c, a, b, error and 4 return a, b, c`, "3 | 2 | 1", nil},
		{t, "values of an assignment are those before it", `
			local a, b, n = 0, 1, 0
			local function count() n = n + a return n end
			for _ = 1, 5 do a, b = b, a + b end
			a, b = 1, count()
			return a, b, n`, "1 | 5 | 5", nil},
		{t, "nil of an assignment comes last", `local a, b, c = 1, 2, 3 a, b = nil, a c, a = a and 4, c b, b = b + 1, 9 return a, b, c`, "3 | 2 | nil", nil},
		{t, "fields that are assigned together with their table", `
			local t, i, a = { x = 1 }, 1, 7
			local u = t
			t.x, a = a, 8
			t[i], i = 20, i + 1
			t.y, t = t.x + 1, {}
			return u.x, u[1], u.y, t.y, i, a`, "7 | 20 | 8 | nil | 2 | 8", nil},
		{t, "assignment of what a call gives", `
			local a, b, c, t = 1, 2, 3, {}
			a, t.x, b, c = c, (function(...) return ... end)(a, b)
			b, c = t.x
			return a, b, c, t.x`, "3 | 1 | nil | 1", nil},
		{t, "assignment of what is false before an and", `
			local a, b, c = 1, 2, 3
			a = x and b;
			b = (x or false) and c;
			c = x or c == 1 and a
			local y, z = 1, { w = 5 }
			y = z.x and z.x.y
			z = z.w == 5 and z.w or 6
			return a, b, c, y, z`, "nil | false | false | nil | 5", nil},
		{t, "assignment of a call to a parameter", `
			local function f(...) return ... end
			local function g(a, b) local c = 5 b = (f(b, c)) a = (f(c)) return a, b, c end
			return g(1, 2)`, "5 | 2 | 5", nil},
		{t, "assignment of one of several values", `
			local function f(a, ...) local b, c = 5, 6 a = (...) b = ..., c; c = (...), a return a, b, c end
			return f(1, 2, 3)`, "2 | 2 | 2", nil},
		{t, "assignment to variables of functions around it", `
			local a, b = 1, 2
			local function swap() a, b = b, a end
			swap()
			x, a = a, 5 x, b = b, x
			return a, b, x`, "5 | 2 | 1", nil},
	}
}

func syntax() []Case {
	const t = "syntax"
	refused := func(near string) map[string]Difference {
		return on(gopher, "error: test.lua:1: syntax error near '"+near+"'", no54Syntax)
	}
	return []Case{
		{t, "const", `local x <const> = 5 return x`, "5", nil},
		{t, "const of several", `local x <const>, y <const> = 5, 6 return x + y`, "11", nil},
		{
			t, "close", `do local x <close> = nil end return 1`, "1",
			on(gopher, "error: test.lua:1: the engine gopher has no variables that are closed", no54Syntax),
		},
		{t, "escapes", `return "\x41\u{48}\u{20AC}" == "AH" .. string.char(0xE2, 0x82, 0xAC), "a\z
			b", '\x27"\x22'`, `true | ab | '""`, nil},
		{t, "floor division", `return 7 // 2`, "3", refused("/")},
		{t, "bits", `return 5 & 3`, "1", on(gopher, "error: test.lua:1: Invalid token near '&'", no54Syntax)},
		{t, "shift", `return 1 << 4`, "16", refused("<")},
		{t, "comment and shell line", "#!/usr/bin/lua\n-- x\nreturn debug.getinfo(1, 'l').currentline", "3", nil},
		{t, "levels", `return ` + "((((((((((((((((((((1))))))))))))))))))))", "1", nil},
		{t, "method on a string", `return ("x"):rep(3), #"abc"`, "xxx | 3", nil},
		{t, "integer division of names", `local a = { b = { c = 1 } } return a.b.c, a["b"]["c"]`, "1 | 1", nil},
		{t, "varargs", `local function f(...) local a, b = ... return select("#", ...), a, b end return f(1, nil, 3)`, "3 | 1 | nil", nil},
		{t, "nested functions", `local t = {} function t.a(x) return x end function t:b() return self == t end return t.a(1), t:b()`, "1 | true", nil},
		{t, "load with an environment", `local f = load("return x", "c", "t", { x = 5 }) return f()`, "5", nil},
		{t, "load of pieces", `local p = { "return ", "1" } local i = 0 return load(function() i = i + 1 return p[i] end)()`, "1", nil},
	}
}

func texts() []Case {
	const t = "string"
	return []Case{
		{t, "find", `return ("hello world"):find("o w"), ("a.b"):find(".", 1, true), ("abc"):find("b", -1)`, "5 | 2 | nil", nil},
		{t, "find with captures", `return ("key=val"):find("(%w+)=(%w+)")`, "1 | 7 | key | val", nil},
		{t, "match", `return ("2026-11-21"):match("(%d+)-(%d+)-(%d+)")`, "2026 | 11 | 21", nil},
		{t, "place captures", `return ("abc"):match("()b()")`, "2 | 3", nil},
		{t, "gmatch", `local r = {} for k, v in ("a=1,b=2"):gmatch("(%w+)=(%w+)") do r[#r + 1] = k .. v end return table.concat(r, " ")`, "a1 b2", nil},
		{t, "gsub with a string", `return ("hello"):gsub("l", "%0%0")`, "hellllo | 2", nil},
		{t, "gsub with a table", `return ("$a $b"):gsub("%$(%w+)", { a = "1" })`, "1 $b | 2", nil},
		{t, "gsub with a function", `return ("abc"):gsub("%w", function(c) if c == "b" then return "X" end; end)`, "aXc | 3", nil},
		{t, "gsub with a bound", `return ("aaa"):gsub("a", "b", 2)`, "bba | 2", nil},
		{t, "gsub of nothing", `return ("abc"):gsub("", "-")`, "-a-b-c- | 4", nil},
		{t, "anchors", `return ("aaa"):gsub("^a", "b"), ("aaa"):find("a$")`, "baa | 3 | 3", nil},
		{t, "frontier", `return ("THE (quick) fox"):gsub("%f[%a]%a+", "x")`, "x (x) x | 3", nil},
		{t, "balance", `return ("f(a(b)c)d"):match("%b()")`, "(a(b)c)", nil},
		{t, "back reference", `return ([[say "hi"]]):match([=[(["'])(.-)%1]=])`, `" | hi`, nil},
		{t, "sets", `return ("x-1]y"):match("[%w%-]+"), ("]"):match("[]]"), ("a^"):match("[%^]")`, "x-1 | ] | ^", nil},
		{t, "malformed", `return pcall(string.find, "a", "[a")`, "false | malformed pattern (missing ']')", nil},
		{t, "format", `return string.format("%5d|%-5s|%05.1f|%x|%q|%%|%c", 42, "ab", 3.14159, 255, "a\nb\"", 65)`, "   42|ab   |003.1|ff|\"a\\\nb\\\"\"|%|A", nil},
		{
			t, "format of a float as integer", `local ok, e = pcall(string.format, "%d", 1.5) return ok, e:match("number has no integer representation")`,
			"false | number has no integer representation", nil,
		},
		{t, "format %g", `return string.format("%g %g %.3f", 0.1, 100000000, 2/3)`, "0.1 1e+08 0.667", nil},
		{t, "format with tostring", `return string.format("%s %s", nil, true)`, "nil true", nil},
		{t, "rep", `return ("ab"):rep(3, "-"), ("x"):rep(0), ("x"):rep(-1)`, "ab-ab-ab |  | ", nil},
		{t, "rep beyond memory", `return pcall(string.rep, "x", 1e10)`, "false | resulting string too large", nil},
		{t, "sub", `return ("hello"):sub(2, -2), ("hello"):sub(-3), ("hello"):sub(0), ("hello"):sub(10)`, "ell | llo | hello | ", nil},
		{t, "byte and char", `return ("abc"):byte(-1), string.char(104, 105), select("#", ("abc"):byte(1, -1))`, "99 | hi | 3", nil},
		{t, "bytes that are no text", `return #("\255\0x"):upper(), ("\228"):lower() == "\228", ("a\0b"):len()`, "3 | true | 3", nil},
		{t, "reverse", `return ("abc"):reverse()`, "cba", nil},
		{
			t, "pack", `return (string.pack("<i4 >I2 z s1 B", -2, 258, "hi", "abc", 255)):byte(1, -1)`,
			"254 | 255 | 255 | 255 | 1 | 2 | 104 | 105 | 0 | 3 | 97 | 98 | 99 | 255", nil,
		},
		{t, "unpack", `return string.unpack("<i4 >I2 z s1 d", string.pack("<i4 >I2 z s1 d", -2, 258, "hi", "abc", 1.5))`, "-2 | 258 | hi | abc | 1.5 | 22", nil},
		{t, "packsize", `return string.packsize("!8 b i8"), string.packsize("<i3 I5")`, "16 | 8", nil},
		{
			t, "unpack beyond 2^53", `return string.unpack("<i8", "\1\0\0\0\0\0\32\0")`, "9007199254740993 | 9",
			on(gopher, "error: test.lua:1: integer 9007199254740993 is beyond 2^53: the engine gopher would round it", floats),
		},
		{t, "concat of numbers", `return 1 .. 2`, "12", nil},
	}
}

//nolint:dupword // it is Lua
func tables() []Case {
	const t = "table"
	return []Case{
		{ //nolint:dupword // of Lua
			t, "constructor", `
				local function f() return "x", "y" end
				local out = {}
				for i, tail in ipairs { "f()", "a = f()", "a = f(), f()", "a = f(), 51", "1, f()", "a = f(), b = f(), f(), 52, c = f()", "a = f(), b = 2" } do
					local seen = {}
					for _, n in ipairs { 1, 49, 50, 51, 100 } do
						local t = load("local f = ... return {" .. ("1,"):rep(n) .. tail .. "}")(f)
						local s = table.concat({ #t - n, t[1], t[n], tostring(t[n + 1]), tostring(t[n + 2]), tostring(t.a), tostring(t.b) }, " ")
						if not seen[s] then out[#out + 1] = s end
						seen[s] = true
					end
				end
				return table.concat(out, ", ")`,
			"2 1 1 x y nil nil, 0 1 1 nil nil x nil, 2 1 1 x y x nil, 1 1 1 51 nil x nil, 3 1 1 1 x nil nil, 2 1 1 x 52 x x, 0 1 1 nil nil x 2", nil,
		},
		{t, "pack", `local t = table.pack(1, nil, 3) return t.n, t[1], t[3]`, "3 | 1 | 3", nil},
		{t, "unpack", `return table.unpack({ 1, 2, 3 }, 2), select("#", table.unpack({}, 1, 3))`, "2 | 3", nil},
		{t, "unpack of many", `local t = {} for i = 1, 6000 do t[i] = i end return select("#", table.unpack(t)), (select(6000, table.unpack(t)))`, "6000 | 6000", nil},
		{t, "move", `local t = table.move({ 1, 2, 3 }, 1, 3, 2) return table.concat(t, ",")`, "1,1,2,3", nil},
		{t, "concat", `return table.concat({ 1, "a", 2.5 }, "-"), table.concat({}), table.concat({ 1, 2, 3 }, ",", 2, 3)`, "1-a-2.5 |  | 2,3", nil},
		{t, "concat of nil", `local ok, e = pcall(table.concat, { 1, {}, 3 }) return ok, e:match("invalid value")`, "false | invalid value", nil},
		{
			t, "insert and remove", `local t = { 1, 2, 3 } table.insert(t, 1, 0) table.insert(t, 4) local r = table.remove(t, 2) return r, table.concat(t, ","), table.remove(t), #t`,
			"1 | 0,2,3,4 | 4 | 3", nil,
		},
		{t, "remove of nothing", `local t = {} return table.remove(t), #t`, "nil | 0", nil},
		{
			t, "sort", `local t = { 3, 1, 2 } table.sort(t) local u = { "b", "a" } table.sort(u, function(a, b) return a > b end) return table.concat(t, ","), table.concat(u)`,
			"1,2,3 | ba", nil,
		},
		{t, "length behind removal", `local t = { 1, 2, 3 } t[3] = nil return #t`, "2", nil},
		{t, "next", `local t = { 1, a = 2 } local k, v = next(t) return k, v, next({}), next(t, "a")`, "1 | 1 | nil | nil", nil},
		{t, "removal in a traversal", `local t, n = {}, 0 for i = 1, 100 do t["k" .. i] = i end for k in pairs(t) do t[k] = nil n = n + 1 end return n, next(t)`, "100 | nil", nil},
		{t, "sparse key", `local t = {} t[60000000] = 1 return #t, t[60000000]`, "0 | 1", nil},
		{t, "float keys", `local t = {} t[1.0] = "a" t[2^53] = "b" return t[1], t[2^53]`, "a | b", nil},
		{
			t, "__pairs", `local r for k, v in pairs(setmetatable({}, { __pairs = function(t) return function(_, k) if not k then return 1, 2 end; end, t end })) do r = v end return r`,
			"2", nil,
		},
		{t, "__len", `return #setmetatable({}, { __len = function() return 7 end }), rawlen({ 1, 2 })`, "7 | 2", nil},
		{t, "__index and ipairs", `local n = 0 for i, v in ipairs(setmetatable({}, { __index = function(_, i) if i < 4 then return i end; end })) do n = n + v end return n`, "6", nil},
		{t, "__call", `return setmetatable({}, { __call = function(_, a, b) return a + b end })(1, 2)`, "3", nil},
		{t, "__eq and __lt", `local m = { __eq = function() return true end, __lt = function() return true end } local a, b = setmetatable({}, m), setmetatable({}, m)
			return a == b, a < b, rawequal(a, b)`, "true | true | false", nil},
		{t, "__concat and __unm", `local m = { __concat = function() return "c" end, __unm = function() return "u" end } local a = setmetatable({}, m)
			return a .. 1, 1 .. a, -a`, "c | c | u", nil},
		{t, "__newindex", `local log = {} local t = setmetatable({}, { __newindex = function(t, k, v) log[1] = k rawset(t, k, v) end }) t.x = 1 return log[1], t.x`, "x | 1", nil},
		{t, "__metatable", `return getmetatable(setmetatable({}, { __metatable = "no" })), (pcall(setmetatable, setmetatable({}, { __metatable = 1 }), {}))`, "no | false", nil},
		{t, "weak tables", `local t = setmetatable({}, { __mode = "k" }) t[{}] = 1 return getmetatable(t).__mode`, "k", nil},
		{t, "nil as key", `local t = {} return pcall(function() t[nil] = 1 end) == false, t[nil]`, "true | nil", nil},
	}
}

func utf8s() []Case {
	const t = "utf8"
	return []Case{
		{t, "char and codepoint", `return utf8.char(72, 228, 8364) == "H\u{E4}\u{20AC}", utf8.codepoint("H\u{E4}\u{20AC}", 1, -1)`, "true | 72 | 228 | 8364", nil},
		{t, "len", `return utf8.len("H\u{E4}\u{20AC}"), utf8.len("\xff")`, "3 | nil | 1", nil},
		{t, "offset", `return utf8.offset("a\u{20AC}b", 3), utf8.offset("a\u{20AC}b", -1)`, "5 | 5", nil},
		{t, "codes", `local r = {} for p, c in utf8.codes("a\u{20AC}b") do r[#r + 1] = p .. ":" .. c end return table.concat(r, " ")`, "1:97 2:8364 5:98", nil},
		{t, "charpattern", `local n = 0 for c in ("a\u{20AC}b"):gmatch(utf8.charpattern) do n = n + 1 end return n`, "3", nil},
	}
}

func sandbox() []Case {
	const t = "sandbox"
	return []Case{
		{
			t, "the host is out of reach", `return io, os.execute, os.exit, os.getenv, os.remove, dofile, loadfile, package, debug.sethook, debug.getregistry`,
			"nil | nil | nil | nil | nil | nil | nil | nil | nil | nil", nil,
		},
		{t, "load of bytecode", `return load("\27Lua")`, "nil | attempt to load a binary chunk (mode is 't')", nil},
		{t, "time", `return type(os.time()), type(os.clock()), os.date("!%Y-%m-%d", 0)`, "number | number | 1970-01-01", nil},
		{t, "globals", `x = 5 return _G.x, _G._G == _G`, "5 | true", nil},
		{
			t, "collectgarbage", `
				local before = collectgarbage("count")
				local t = {}
				for i = 1, 20000 do t[i] = { i } end
				local full = collectgarbage("count")
				t = nil
				local done = collectgarbage()
				local after = collectgarbage("count")
				local _, e = pcall(function() collectgarbage("what") end)
				return done, full - before > 1000, full - after > 1000, after > 1, collectgarbage("step"), collectgarbage("isrunning"), collectgarbage("stop"), e`,
			"0 | true | true | true | true | true | 0 | test.lua:9: bad argument #1 to 'collectgarbage' (invalid option 'what')", nil,
		},
		{t, "debug", `return debug.getinfo(1, "S").short_src, debug.getinfo(1, "l").currentline, type(debug.traceback())`, "test.lua | 1 | string", nil},
	}
}
