package syntax_test

import (
	"flag"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

var (
	mutants    = flag.Int("mutants", 4000, "how many damaged sources to compare with PUC Lua")
	mutantSeed = flag.Uint64("mutants.seed", 1, "the seed of their damages")
)

// samples are sources with all that the language has, for tests to compare and to damage.
var samples = []string{
	"local a <const>, b <close>, c = 1, nil, ...\nreturn a, b, c, -2^2, 7 // 2, 7 % 2, 1 << 2 >> 1, 1 & 2 | 3 ~ 4, ~5",
	"local t = {1, 2.5; x = 'a\\n\\x41\\u{20ac}\\065', ['y'] = [==[long\n]]]==], f(), ...,\n}\nt.x, t[1], t.y.z = t.x:f('a', {}), t [1] \"s\" {}, (f())",
	"function a.b.c:d(x, ...)\n  local y <const> = #x .. 'a' .. 'b'\n  if x then return self elseif y then goto done else x = not y end\n  ::done:: ;\n  return ...\nend",
	"for i = 1, 10, 2 do if i == 5 then break end print(i) end\nfor k, v in pairs(t) do t[k] = v ~= nil and v or false end",
	"while x < 10 and y <= 20 or z > 30 do x = x + 1 repeat local z = x until z >= y end do local function f(a, b) return f(b, a) end end",
	"--[[ comment\n]] x = function(...) local a = {...} return #a, 0x10, 0xA.8p1, 1e10, .5, 3. end -- end\n--[==[ ]] ]==] return x, -x, not x, - - x",
	"a.b['c'].d = a == b ~= c\n(f or g)(x)\nlocal s = 'it''s' .. \"x\\z\n   y\\\nz\" .. [[\nq]]\nreturn a.b:c 'd' .e [f] (g)",
	"goto l1 do ::l1:: end ::l1:: ::l2:: goto l2 return;",
	"local x = 1 < 2 == true and 'a' .. 1 + 2 * 3 ^ -2 ^ 2 or {f = function() return ... end}",
}

func sources(tb testing.TB) []string {
	tb.Helper()
	list := slices.Clone(samples)
	for _, s := range scripts(tb) {
		list = append(list, s)
	}
	slices.Sort(list)
	return list
}

func TestTreesMeanTheCodeThatPUCLuaMakes(t *testing.T) {
	p := startPUC(t)
	for _, s := range sources(t) {
		fn, err := syntax.Parse("agent.lua", s)
		if err == nil {
			sameCode(t, p, s, fn)
		}
	}
}

// sameCode fails the test unless a source, and its tree written as a source, are the same to PUC Lua.
func sameCode(t *testing.T, p *puc, s string, fn *syntax.FuncExpr) {
	t.Helper()
	want, message := p.compile(t, s)
	if message != "" {
		return // for a reason that is the compiler's, as others test
	}
	again := rewrite(fn)
	if code, message := p.compile(t, again); code != want {
		t.Errorf("the tree of\n%s\nis that of\n%s\nwhich is other code %s", s, again, message)
	}
}

// compilers are the messages of PUC Lua that are about more than the grammar.
var compilers = regexp.MustCompile(`no visible label|jumps into the scope|break outside|attempt to assign to const|already defined|too many|needs too many|too long`)

// bracketLine is where PUC Lua 5.4.4 names the line in which the name of a called function is, and later releases the one of the bracket, as Parse does.
var bracketLine = regexp.MustCompile(` \(to close '\(' at line \d+\)`)

// unseen is what changes the code of PUC Lua though it is not in the tree: a function's bracket in another line, which the code names, and an empty statement
// in front of a break.
var unseen = regexp.MustCompile(`function[^(]*[\r\n][^(]*\(|then\s*;`)

func TestDamagedSourcesHaveTheErrorsOfPUCLua(t *testing.T) {
	p := startPUC(t)
	all := sources(t)
	r := rand.New(rand.NewPCG(*mutantSeed, 0))
	refused := 0
	for range *mutants {
		s := damage(r, all)
		fn, err := syntax.Parse("agent.lua", s)
		_, want := p.compile(t, s)
		switch {
		case compilers.MatchString(want) || strings.Contains(want, "C stack overflow"):
		case err == nil && want == "":
			if !unseen.MatchString(s) {
				sameCode(t, p, s, fn)
			}
		case err == nil:
			t.Errorf("Parse takes\n%s\nPUC Lua says %s", s, want)
		default:
			refused++
			got := "agent.lua:" + message(t, s)
			if bracketLine.ReplaceAllString(got, "") != bracketLine.ReplaceAllString(want, "") {
				t.Errorf("Parse says %s, PUC Lua %s, of\n%s", got, want, s)
			}
		}
		if t.Failed() {
			return
		}
	}
	if refused < *mutants/3 {
		t.Errorf("only %d of %d sources were broken", refused, *mutants)
	}
}

var words = regexp.MustCompile(`(?s)[A-Za-z_0-9]+|\s+|\.+|[=~<>]=|--|\[=*\[|\]=*\]|\\.|.`)

// spare are words that damages put in.
var spare = strings.Fields("and break do else elseif end false for function goto if in local nil not or repeat return then true until while " +
	"+ - * / % ^ # & ~ | << >> // == ~= <= >= < > = ( ) { } [ ] :: ; : , . .. ... <const> <close> <x> x 1 0x 1e 1.5 'x' \"x\\ [[x [=[ ]] ]=] -- --[[ \\ \\x4 \\u{ \\q ' \" @ \x00 \xff")

// damage takes some lines of a source and removes, doubles, swaps or puts in words of it.
func damage(r *rand.Rand, all []string) string {
	lines := strings.SplitAfter(all[r.IntN(len(all))], "\n")
	from := r.IntN(len(lines))
	piece := strings.Join(lines[from:min(len(lines), from+1+r.IntN(12))], "")
	list := words.FindAllString(piece, -1)
	for range r.IntN(4) {
		if len(list) < 2 {
			break
		}
		i, j := r.IntN(len(list)), r.IntN(len(list))
		switch r.IntN(6) {
		case 0:
			list = slices.Delete(list, i, i+1)
		case 1:
			list = slices.Insert(list, i, list[j])
		case 2:
			list[i], list[j] = list[j], list[i]
		case 3:
			list = slices.Insert(list, i, " ", spare[r.IntN(len(spare))], []string{" ", "\n", "\r\n", ""}[r.IntN(4)])
		case 4:
			list[i] = spare[r.IntN(len(spare))]
		case 5:
			list = list[:i]
		}
	}
	s := strings.Join(list, "")
	if s != "" && s[0] == '#' { // which only Parse skips
		return " " + s
	}
	return s
}
