package lua54_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// program writes a random Lua program that ends and prints what it does. Variables have types, so that most of what it does succeeds:
// n* are numbers, s* strings, t* tables of numbers under a, b, c and 1.., f* functions from numbers to numbers, o* objects with metamethods.
type program struct {
	r      *rand.Rand
	b      strings.Builder
	indent int
	vars   map[byte][]string
	consts map[string]bool
	next   int
	fuel   int
	vararg bool
	loop   int // nesting of loops
	inFunc int
}

func generate(seed uint64) string {
	p := &program{r: rand.New(rand.NewPCG(seed, 54)), vars: map[byte][]string{}, consts: map[string]bool{}, fuel: 120, vararg: true}
	p.line("local unpack, yield = table.unpack, coroutine.yield")
	p.line("local function id(...) return ... end")
	p.line("local function nothing() end")
	p.line("local n0, s0, t0, f0, o0 = 1, 'zero', { 1, 2, a = 3 }, id, setmetatable({ v = 3 }, { __call = id })")
	p.line("function o0:m(...) return ... end")
	for _, kind := range []byte("nstfo") {
		p.vars[kind] = []string{string(kind) + "0"}
	}
	for _, kind := range []byte("nnsst") {
		p.declare(kind)
	}
	p.declare('f')
	p.declare('o')
	for range 6 + p.r.IntN(14) {
		p.statement(3)
	}
	for _, kind := range []byte("nst") {
		p.line("P(%s)", strings.Join(p.vars[kind], ", "))
	}
	return p.b.String()
}

func (p *program) line(format string, args ...any) {
	p.b.WriteString(strings.Repeat("  ", p.indent))
	fmt.Fprintf(&p.b, format, args...)
	p.b.WriteByte('\n')
}

func (p *program) name(kind byte) string {
	p.next++
	return fmt.Sprintf("%c%d", kind, p.next)
}

func (p *program) one(choices ...string) string { return choices[p.r.IntN(len(choices))] }

func (p *program) chance(percent int) bool { return p.r.IntN(100) < percent }

// pick is a variable of that kind.
func (p *program) pick(kind byte) string {
	vars := p.vars[kind]
	if n := len(vars); n > 4 && p.chance(60) {
		vars = vars[n-4:] // what is near is used more
	}
	return vars[p.r.IntN(len(vars))]
}

// scope runs f and forgets what it declared.
func (p *program) scope(f func()) {
	saved := map[byte][]string{}
	for k, v := range p.vars {
		saved[k] = v[:len(v):len(v)]
	}
	p.indent++
	f()
	p.indent--
	p.vars = saved
}

func (p *program) body(depth int) {
	for range 1 + p.r.IntN(4) {
		p.statement(depth - 1)
	}
}

func (p *program) declare(kind byte) {
	v := p.name(kind)
	local := "local "
	if p.chance(15) {
		local = "" // a global
	}
	switch kind {
	case 'n':
		attr := ""
		if local != "" && p.chance(10) {
			attr = " <const>"
			p.consts[v] = true
		}
		p.line("%s%s%s = %s", local, v, attr, p.num(2))
	case 's':
		p.line("%s%s = %s", local, v, p.str(2))
	case 't':
		p.line("%s%s = %s", local, v, p.table(2))
	case 'f':
		p.function(local, v)
	case 'o':
		p.object(local, v)
	}
	p.vars[kind] = append(p.vars[kind], v)
}

func (p *program) function(local, v string) {
	params := []string{}
	vararg := p.chance(50)
	for range p.r.IntN(3) {
		params = append(params, p.name('n'))
	}
	list := params
	if vararg {
		list = append(list[:len(list):len(list)], "...")
	}
	switch {
	case local != "" && p.chance(50):
		p.line("local function %s(%s)", v, strings.Join(list, ", "))
	default:
		p.line("%s%s = function(%s)", local, v, strings.Join(list, ", "))
	}
	wasVararg, loop := p.vararg, p.loop
	p.vararg, p.loop = vararg, 0
	p.inFunc++
	p.scope(func() {
		for _, n := range params {
			p.line("%s = %s or %d", n, n, p.r.IntN(9))
			p.vars['n'] = append(p.vars['n'], n)
		}
		if p.fuel > 0 && p.inFunc < 4 {
			p.body(2)
		}
		p.line("return %s", p.values(p.r.IntN(3), 2))
	})
	p.inFunc--
	p.vararg, p.loop = wasVararg, loop
	p.line("end")
}

// object makes a table whose metamethods go all ways: functions, tables, waits.
func (p *program) object(local, v string) {
	wait := p.one("", "", "yield(7) ")
	p.line("%s%s = setmetatable({ v = %s }, {", local, v, p.num(1))
	for _, op := range []string{"add", "sub", "mul", "idiv", "mod", "band", "bor", "shl", "div", "pow"} {
		if p.chance(60) {
			p.line("  __%s = function(a, b) %sa = type(a) == 'table' and a.v or a b = type(b) == 'table' and b.v or b return a %s b end,", op, wait, p.one("+", "-", "*"))
		}
	}
	p.line("  __index = %s,", p.one("function(t, k) "+wait+"return #tostring(k) end", "{ a = 1, b = 2, c = 3 }", "setmetatable({}, { __index = function(_, k) return 5 end })"))
	p.line("  __newindex = function(t, k, x) %srawset(t, k, x) end,", wait)
	p.line("  __call = function(self, ...) %sreturn select('#', ...), ... end,", wait)
	p.line("  __len = function() %sreturn %d end,", wait, p.r.IntN(9))
	p.line("  __unm = function(a) %sreturn 1 end, __bnot = function() return 2 end,", wait)
	p.line("  __concat = function(a, b) %sreturn 'cat' .. (type(a) == 'string' and a or '') .. (type(b) == 'string' and b or '') end,", wait)
	p.line("  __eq = function() %sreturn %s end,", wait, p.one("true", "false"))
	p.line("  __lt = function() %sreturn %s end, __le = function() return %s end,", wait, p.one("true", "false", "1", "nil"), p.one("true", "false"))
	p.line("  __close = function() %sP('closed %s') end,", wait, v)
	p.line("  __pairs = function(t) return function(_, k) if k then return nil end return 1, 2 end, t, nil end,")
	p.line("})")
	p.line("function %s:m(x, ...) %sreturn (x or 0) + self.v, ... end", v, wait)
}

// values is a list of n numbers, with a last one that may be several.
func (p *program) values(n, depth int) string {
	list := make([]string, 0, n+1)
	for range n {
		list = append(list, p.num(depth))
	}
	if p.chance(35) || n == 0 {
		list = append(list, p.several(depth))
	}
	return strings.Join(list, ", ")
}

// several is an expression that can have any number of values.
func (p *program) several(depth int) string {
	switch p.r.IntN(8) {
	case 0, 1:
		if p.vararg {
			return "..."
		}
		return "nothing()"
	case 2:
		return "id(" + p.values(p.r.IntN(3), depth-1) + ")"
	case 3:
		return p.pick('o') + "(" + p.values(1, depth-1) + ")"
	case 4:
		return p.pick('o') + ":m(" + p.values(1, depth-1) + ")"
	case 5:
		return "unpack(" + p.table(depth-1) + ")"
	case 6:
		return fmt.Sprintf("select(%d, %s)", 1+p.r.IntN(3), p.values(2, depth-1))
	default:
		return p.pick('f') + "(" + p.values(p.r.IntN(3), depth-1) + ")"
	}
}

func (p *program) literal() string {
	return p.one("0", "1", "2", "3", "-1", "-7", "10", "100", "0.5", "-2.5", "3.0", "1e15", "2^53", "math.maxinteger", "math.mininteger", "0x10", "1e308", "-0.0", "255", "7", "65536", "0x7fffffffffffffff", "1//0.3")
}

// num is an expression whose value is a number, or which raises an error.
func (p *program) num(depth int) string {
	p.fuel--
	if depth <= 0 || p.fuel < 0 {
		return p.one(p.literal(), p.pick('n'), p.pick('n'), p.pick('n'))
	}
	a := func() string { return p.num(depth - 1) }
	switch p.r.IntN(24) {
	case 0, 1, 2:
		return fmt.Sprintf("(%s %s %s)", a(), p.one("+", "-", "*"), a())
	case 3:
		return fmt.Sprintf("(%s %s %s)", a(), p.one("/", "//", "%", "^"), p.one(a(), "3", "-3", "2.5", "-0.5", "7"))
	case 4:
		return fmt.Sprintf("((math.tointeger(%s) or 5) %s (math.tointeger(%s) or 3))", a(), p.one("&", "|", "~", "<<", ">>", "//", "%"), a())
	case 5:
		return fmt.Sprintf("(%s and %s or %s)", p.cond(depth-1), a(), a())
	case 6:
		return fmt.Sprintf("(%s or %s)", p.field(depth-1), a())
	case 7:
		return fmt.Sprintf("#%s", p.one(p.pick('s'), p.pick('t'), p.pick('o'), "("+p.str(depth-1)+")"))
	case 8:
		return fmt.Sprintf("(%s or 1)", p.several(depth-1)) // one value, by or
	case 9:
		return fmt.Sprintf("((%s) or 2)", p.several(depth-1))
	case 10:
		return fmt.Sprintf("select('#', %s)", p.values(p.r.IntN(3), depth-1))
	case 11:
		return fmt.Sprintf("math.%s(%s, %s)", p.one("max", "min"), a(), a())
	case 12:
		return fmt.Sprintf("(tonumber(%s) or 4)", p.str(depth-1))
	case 13:
		return fmt.Sprintf("(%s + %s * 1.0)", p.one(`"10"`, `"0x1p4"`, `" 3 "`, `"2.0"`), a()) // whether "10" + 1 is an integer is not compared
	case 14:
		return fmt.Sprintf("(yield(%s) or %s)", p.values(1, depth-1), p.literal())
	case 15:
		return fmt.Sprintf("((%s) %s (%s))", p.pick('o'), p.one("+", "-", "*", "//", "%", "/"), p.one(a(), p.pick('o')))
	case 16:
		return fmt.Sprintf("#{%s}", p.values(p.r.IntN(4), depth-1))
	case 17:
		return fmt.Sprintf("(function(...) return %s end)(%s)", p.one("...", "select('#', ...)", "(...)", "... or 1"), p.values(1, depth-1))
	case 18:
		return fmt.Sprintf("-%s", p.one(p.pick('n'), "("+a()+")"))
	case 19:
		return fmt.Sprintf("(%s:byte(%d) or -1)", p.pick('s'), p.r.IntN(5)-2)
	case 20:
		return fmt.Sprintf("(select(2, T(%s, %s)) == 1 and 1 or 2)", p.pick('f'), a())
	default:
		return p.one(p.pick('n'), p.pick('n'), p.literal())
	}
}

func (p *program) field(depth int) string {
	t := p.pick('t')
	switch p.r.IntN(5) {
	case 0:
		return t + ".a"
	case 1:
		return t + "[\"b\"]"
	case 2:
		return fmt.Sprintf("%s[%s]", t, p.num(depth))
	case 3:
		return fmt.Sprintf("%s[%s]", t, p.str(depth))
	default:
		return fmt.Sprintf("%s[%d]", t, 1+p.r.IntN(4))
	}
}

func (p *program) cond(depth int) string {
	if depth <= 0 {
		return p.one("true", "false", "nil", p.pick('n')+" < "+p.literal(), p.pick('n')+" == "+p.pick('n'))
	}
	c := func() string { return p.cond(depth - 1) }
	n := func() string { return p.num(depth - 1) }
	switch p.r.IntN(12) {
	case 0:
		return fmt.Sprintf("(%s and %s)", c(), c())
	case 1:
		return fmt.Sprintf("(%s or %s)", c(), c())
	case 2:
		return fmt.Sprintf("not (%s)", c())
	case 3:
		return fmt.Sprintf("(%s and not (%s) or %s)", c(), c(), c())
	case 4:
		return fmt.Sprintf("%s %s %s", p.str(depth-1), p.one("<", "<=", "==", "~=", ">"), p.str(depth-1))
	case 5:
		return fmt.Sprintf("%s %s %s", p.pick('o'), p.one("<", "<=", "==", "~=", ">="), p.pick('o'))
	case 6:
		return fmt.Sprintf("not %s == %s", p.pick('n'), n())
	case 7:
		return fmt.Sprintf("(%s) == nil", p.field(depth-1))
	default:
		return fmt.Sprintf("%s %s %s", n(), p.one("<", "<=", "==", "~=", ">", ">="), p.one(n(), p.literal()))
	}
}

func (p *program) str(depth int) string {
	p.fuel--
	if depth <= 0 || p.fuel < 0 {
		return p.one(`"abc"`, `""`, `"x=1, y=22"`, `"12"`, `'a\0b'`, `"%d"`, p.pick('s'), p.pick('s'))
	}
	s := func() string { return p.str(depth - 1) }
	i := func() string { return fmt.Sprint(p.r.IntN(9) - 4) }
	switch p.r.IntN(16) {
	case 0:
		return fmt.Sprintf("(%s .. %s)", s(), p.one(s(), "I("+p.num(depth-1)+")", p.pick('o')+" .. "+s()))
	case 1:
		return fmt.Sprintf("(%s):sub(%s, %s)", s(), i(), i())
	case 2:
		return fmt.Sprintf("(%s):rep(%d, %s)", s(), p.r.IntN(4)-1, s())
	case 3:
		return fmt.Sprintf("string.format(%s, 0.0 + F(%s))", p.one(`"%5.1f|"`, `"%g"`, `"%10.4g"`, `"%e"`), p.num(depth-1))
	case 4:
		return fmt.Sprintf("string.format(%s, math.tointeger(%s) or 42)", p.one(`"%d"`, `"%05d"`, `"%x"`, `"%+d"`, `"%c"`, `"%#o"`, `"%i"`, `"%8X|"`), p.num(depth-1))
	case 5:
		return fmt.Sprintf("(%s):gsub(%s, %s)", s(), p.pattern(), p.one(`"<%0>"`, `"%1%1"`, `{ a = "A", ["1"] = 2 }`, `function(x) return x and #x end`, `""`))
	case 6:
		return fmt.Sprintf("tostring((%s):find(%s, %s))", s(), p.pattern(), i())
	case 7:
		return fmt.Sprintf("((%s):match(%s) or 'no') .. ''", s(), p.pattern())
	case 8:
		return fmt.Sprintf("string.char((%s):byte(1, 3))", s())
	case 9:
		return fmt.Sprintf("tostring(I(%s))", p.num(depth-1))
	case 10:
		return fmt.Sprintf("C(%s, %s)", p.table(depth-1), s())
	case 11:
		return fmt.Sprintf("(%s):%s()", s(), p.one("upper", "lower", "reverse"))
	case 12:
		return fmt.Sprintf("string.pack(%s, math.tointeger(%s) or 1)", p.one(`"<i8"`, `">j"`, `"!4 i8"`), p.num(depth-1))
	default:
		return p.pick('s')
	}
}

func (p *program) pattern() string {
	return p.one(`"%d+"`, `"(%a)(%d*)"`, `"."`, `"()"`, `"[a-c]*"`, `"%w-x"`, `"^a"`, `"b$"`, `"%f[%w]%w+"`, `"(.)%1"`, `"%s*"`, `"[^,]+"`, `"%b{}"`, `"x?"`, `"(a*(.)%w(%s*))"`)
}

// table is a constructor, or a table at hand.
func (p *program) table(depth int) string {
	if depth <= 0 || p.fuel < 0 {
		return p.one(p.pick('t'), "{ 4, 5 }", "{}")
	}
	n := func() string { return p.num(depth - 1) }
	switch p.r.IntN(8) {
	case 0:
		return fmt.Sprintf("{ %s }", p.values(p.r.IntN(4), depth-1))
	case 1:
		return fmt.Sprintf("{ a = %s, b = %s, %s }", n(), n(), p.values(1, depth-1))
	case 2:
		return fmt.Sprintf("{ %s, a = %s, %s; [%s] = %s }", n(), n(), n(), p.one("2", "'c'", "10", "1.0"), n())
	case 3:
		return fmt.Sprintf("{ (%s) }", p.several(depth-1))
	case 4:
		return fmt.Sprintf("table.pack(%s)", p.values(1, depth-1))
	default:
		return fmt.Sprintf("{ %s, %s, b = %s }", n(), n(), n())
	}
}

func (p *program) target(depth int) string {
	if p.chance(45) {
		for range 5 {
			if v := p.pick('n'); !p.consts[v] {
				return v
			}
		}
	}
	if p.chance(15) {
		return p.pick('o') + "." + p.one("v", "w")
	}
	return p.one(p.pick('t')+"."+p.one("a", "b", "c"), p.pick('t')+"["+p.one("1", "2", "3", "#"+p.pick('t')+" + 1")+"]", p.pick('t')+"["+p.str(depth)+"]",
		"id("+p.pick('t')+").a")
}

func (p *program) statement(depth int) {
	if p.fuel--; p.fuel < 0 || depth < 0 {
		p.line("P(%s)", p.pick('n'))
		return
	}
	switch p.r.IntN(34) {
	case 0, 1:
		p.declare('n')
	case 2:
		p.declare([]byte("stfo")[p.r.IntN(4)])
	case 3, 4:
		a, b := p.name('n'), p.name('n')
		p.line("local %s, %s = %s", a, b, p.values(1+p.r.IntN(2), 2))
		p.line("%s, %s = %s or 1, %s or 2", a, b, a, b)
		p.vars['n'] = append(p.vars['n'], a, b)
	case 5, 6, 7, 8:
		p.assign()
	case 9, 10:
		p.branch(depth)
	case 11, 12, 13:
		p.loops(depth)
	case 14:
		p.line("do")
		p.scope(func() {
			if p.chance(50) {
				p.line("local c <close> = %s", p.one(p.pick('o'), p.pick('o'), "nil"))
			}
			p.body(depth)
		})
		p.line("end")
	case 15, 16:
		p.protected(depth)
	case 17, 18:
		p.coroutine(depth)
	case 19:
		p.closures()
	case 20, 21:
		p.tables()
	case 22:
		p.line("P(%s)", p.several(3))
	case 23:
		if p.loop > 0 {
			p.line("if %s then %s end", p.cond(2), p.one("break", "goto continue"))
		}
	case 24:
		p.line("if %s then return %s end", p.cond(2), p.values(1, 1))
	case 25:
		p.line("P(%s, %s)", p.cond(3), p.str(3))
	case 26:
		p.line("%s = %s", p.pick('s'), p.str(3))
	case 27:
		p.line("P(%s)", p.one("math.type("+p.num(2)+")", "math.ult("+p.num(0)+" // 1 | 0, 5)", "math.tointeger("+p.num(2)+")", "pcall(math.fmod, "+p.num(1)+", "+p.num(1)+") and 1", "string.unpack('<i8', string.pack('<i8', 77))"))
	default:
		p.line("P(%s, %s)", p.num(3), p.values(1, 2))
	}
}

func (p *program) assign() {
	n := 1 + p.r.IntN(4)
	targets := make([]string, n)
	for i := range targets {
		targets[i] = p.target(1)
	}
	count := n + p.r.IntN(3) - 1
	p.line("%s = %s", strings.Join(targets, ", "), p.values(max(count, 1), 2))
	for _, t := range targets { // numbers stay numbers
		if t[0] == 'n' {
			p.line("%s = %s or 0", t, t)
		}
	}
}

func (p *program) branch(depth int) {
	p.line("if %s then", p.cond(3))
	p.scope(func() { p.body(depth) })
	if p.chance(40) {
		p.line("elseif %s then", p.cond(3))
		p.scope(func() { p.body(depth) })
	}
	if p.chance(60) {
		p.line("else")
		p.scope(func() { p.body(depth) })
	}
	p.line("end")
}

func (p *program) loops(depth int) {
	if p.loop > 1 {
		return
	}
	p.loop++
	defer func() { p.loop-- }()
	body := func(names ...string) {
		p.scope(func() {
			p.vars['n'] = append(p.vars['n'], names...)
			p.line("do")
			p.scope(func() { p.body(depth) })
			p.line("end")
			p.line("::continue::")
		})
	}
	i, v := p.name('n'), p.name('n')
	switch p.r.IntN(6) {
	case 0:
		p.line("for %s = %s do", i, p.one("1, 4", "4, 1, -1", "1, 3, 2", "1.0, 3", "1, 2, 0.5", "3, 1", "math.maxinteger - 2, math.maxinteger", "math.mininteger, math.mininteger + 2", "1, 0.5", "-1, -3, -1", "math.mininteger + 1, math.mininteger, -1", "1, 3.9"))
		body(i)
	case 1:
		p.line("for %s, %s in ipairs(%s) do", i, v, p.table(2))
		p.line("  if %s > 6 then break end", i)
		body(i, v)
	case 2:
		p.line("local %s = 0", i)
		p.line("while %s < 4 and %s do", i, p.one("true", p.cond(1)+" or true"))
		p.line("  %s = %s + 1", i, i)
		body()
	case 3:
		p.line("local %s = 0", i)
		p.line("repeat")
		p.line("  %s = %s + 1", i, i)
		p.line("  local %s = %s * 2", v, i)
		p.scope(func() { p.line("P(%s)", p.num(2)) })
		p.line("until %s > 5 or %s", v, p.cond(1))
		return
	case 4:
		p.line("for %s, %s in coroutine.wrap(function(...) for k = 1, 3 do yield(k, %s) end end) do", i, v, p.num(1))
		p.line("  %s = %s or 0", v, v)
		body(i, v)
	default:
		p.line("for %s, %s in (function(s, c) %sif c < 3 then return c + 1, s end end), %s, 0 do", i, v, p.one("", "yield(c) "), p.num(1))
		body(i, v)
	}
	p.line("end")
}

func (p *program) protected(depth int) {
	loop, vararg := p.loop, p.vararg
	p.loop, p.vararg = 0, true
	p.inFunc++
	defer func() { p.loop, p.vararg = loop, vararg; p.inFunc-- }()
	handler := p.one("T(", "T(", "xpcall(", "coroutine.wrap(pcall)(")
	if handler == "coroutine.wrap(pcall)(" {
		p.line("P(type(%sfunction(...)", handler)
	} else {
		p.line("P(%sfunction(...)", handler)
	}
	p.scope(func() {
		p.body(depth)
		switch p.r.IntN(6) {
		case 0:
			p.line("error({ code = %s })", p.num(1))
		case 1:
			p.line("error('E1 raised')")
		case 2:
			p.line("error('E2 raised', 0)")
		case 3:
			p.line("error(%s)", p.one("nil", "42", "true"))
		case 4:
			p.line("local x = nil; x.y = %s", p.num(1))
		default:
			p.line("return %s", p.values(1, 2))
		}
	})
	switch handler {
	case "xpcall(":
		p.line("end, function(e) return type(e) == 'table' and 'E table' or type(e) end, %s))", p.num(1))
	case "T(":
		p.line("end, %s))", p.values(1, 1))
	default:
		p.line("end)))")
	}
}

func (p *program) coroutine(depth int) {
	loop, vararg := p.loop, p.vararg
	p.loop, p.vararg = 0, true
	p.inFunc++
	co := p.name('c')
	p.line("local %s = coroutine.create(function(...)", co)
	p.scope(func() {
		p.body(depth)
		p.line("P(yield(%s))", p.values(1, 1))
		p.body(depth)
		p.line("return %s", p.values(1, 1))
	})
	p.line("end)")
	p.loop, p.vararg = loop, vararg
	p.inFunc--
	p.line("for k = 1, %d do P(T(coroutine.resume, %s, %s)) end", 1+p.r.IntN(6), co, p.values(p.r.IntN(3), 1))
	p.line("P(coroutine.status(%s)%s)", co, p.one("", ", K("+co+")"))
}

// closures share variables of loops and of blocks.
func (p *program) closures() {
	fs := p.name('x')
	p.line("local %s = {}", fs)
	p.line("for i = %s do", p.one("1, 3", "3, 1, -1"))
	p.line("  local a, b = i, %s", p.num(1))
	p.line("  %s[#%s + 1] = function(d) a = a + (d or 1) %sreturn a, b end", fs, fs, p.one("", "b, a = a, b ", "i = i + 1 "))
	p.line("  %s[#%s + 1] = function() %sreturn a, b, i end", fs, fs, p.one("", "a, b = b, a "))
	p.line("  if %s then break end", p.one("false", "i == 2", p.cond(1)))
	p.line("end")
	p.line("for k = 1, #%s do P(k, %s[k](k)) P(%s[k]()) end", fs, fs, fs)
}

func (p *program) tables() {
	t := p.pick('t')
	switch p.r.IntN(8) {
	case 0:
		p.line("table.insert(%s, %s)", t, p.num(1))
	case 1:
		p.line("P(T(table.insert, %s, %d, %s))", t, p.r.IntN(4), p.num(1))
	case 2:
		p.line("P(T(table.remove, %s%s))", t, p.one("", ", 1", ", #"+t))
	case 3:
		p.line("local x = { %s } if pcall(table.sort, x%s) then for i = 1, #x do x[i] = x[i] == 0 and 0 or x[i] + 0.0 end P(x) end", p.values(4, 1), p.one("", ", function(a, b) return a > b end"))
	case 4:
		p.line("P(T(table.move, %s, %d, %d, %d%s))", t, p.r.IntN(3), p.r.IntN(5), p.r.IntN(5), p.one("", ", {}"))
	case 5:
		p.line("P(T(unpack, %s, %d, %d))", t, p.r.IntN(4)-1, p.r.IntN(5))
	case 6:
		p.line("local n = 0 for k, v in pairs(%s) do n = n + 1 end P(n, #%s, next({}), rawlen(%s), rawequal(%s, %s))", t, t, t, t, p.pick('t'))
	default:
		p.line("P(T(C, %s, '-', %d, %d))", t, p.r.IntN(3), p.r.IntN(4))
	}
}
