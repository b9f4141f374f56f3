package syntax_test

import (
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/syntax"
)

// nests are sources that nest n levels: what comes n times, what stands in the middle, and what comes n times behind it.
var nests = []struct{ name, before, open, middle, closing string }{
	{"brackets", "x = ", "(", "1", ")"},
	{"tables", "x = ", "{", "", "}"},
	{"keys", "x = ", "{[", "1", "] = 1}"},
	{"indices", "x = ", "a[", "1", "]"},
	{"arguments", "x = ", "f(", "", ")"},
	{"calls without brackets", "x = ", "f{", "", "}"},
	{"calls as statements", "", "f(function() ", "", " end)"},
	{"negations", "x = ", "- ", "1", ""},
	{"nots", "x = ", "not ", "1", ""},
	{"concatenations", "x = ", "a..", "a", ""},
	{"powers", "x = ", "a^", "a", ""},
	{"blocks", "", "do ", "", " end"},
	{"loops", "", "while x do ", "", " end"},
	{"repeats", "", "repeat ", "", " until x"},
	{"counts", "", "for i = 1, 2 do ", "", " end"},
	{"iterations", "", "for k in f do ", "", " end"},
	{"branches", "", "if x then ", "", " end"},
	{"elses", "", "if x then else ", "", " end"},
	{"functions", "", "function f() ", "", " end"},
	{"local functions", "", "local function f() ", "", " end"},
	{"anonymous functions", "x = ", "function() return ", "1", " end"},
	{"targets", "", "a,", "a = 1", ""},
}

func TestNestingIsBounded(t *testing.T) {
	for _, c := range nests {
		build := func(n int) string {
			return c.before + strings.Repeat(c.open, n) + c.middle + strings.Repeat(c.closing, n)
		}
		if _, err := syntax.Parse("agent.lua", build(15)); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		for _, n := range []int{201, 1_000_000 / len(c.open)} {
			for _, s := range []string{build(n), c.before + strings.Repeat(c.open, n)} {
				if got := message(t, s); !strings.HasPrefix(got, "1: C stack overflow near ") {
					t.Errorf("%s, %d times: %q", c.name, n, got)
				}
			}
		}
	}
}

func TestNestingGoesAsDeepAsInPUCLua(t *testing.T) {
	p := startPUC(t)
	for _, c := range nests {
		for n := 1; n < 300; n++ {
			build := func(n int) string {
				return c.before + strings.Repeat(c.open, n) + c.middle + strings.Repeat(c.closing, n)
			}
			ours := message(t, build(n))
			_, theirs := p.compile(t, build(n))
			if ours == "" && theirs == "" {
				continue
			}
			// The levels of lua5.4 begin with its own calls, which are some 4.
			if theirs == "" || strings.HasPrefix(theirs, "C stack overflow") && message(t, build(n+5)) == "" {
				t.Errorf("%s, %d times: %q, and %q in PUC Lua", c.name, n, ours, theirs)
			}
			break
		}
	}
}

// chains are sources whose parts follow one another without brackets: before, part n times, and after.
var chains = []struct{ name, before, part, after string }{
	{"sums", "x = a", " + a", ""},
	{"conditions", "x = a", " and a or b", ""},
	{"comparisons", "x = a", " < a == a", ""},
	{"fields", "x = a", ".a", ""},
	{"indices", "x = a", "[1]", ""},
	{"calls", "a", "()", ""},
	{"calls with strings", "a", "''", ""},
	{"calls with tables", "a", "{}", ""},
	{"methods", "a", ":b()", ""},
	{"names of a function", "function a", ".a", "() end"},
}

func TestLongChainsParseAndEndlessOnesDoNot(t *testing.T) {
	for _, c := range chains {
		if _, err := syntax.Parse("agent.lua", c.before+strings.Repeat(c.part, 5000)+c.after); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := message(t, c.before+strings.Repeat(c.part, 1<<20/len(c.part))+c.after); !strings.HasPrefix(got, "1: chunk has too many syntax levels near ") {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestChainsInChainsHaveTheSameBound(t *testing.T) {
	// Each level is short enough for itself: bracketed sums, arguments and functions whose sums hang on one another.
	for _, wrap := range []struct{ open, closing string }{
		{"(", ")"}, {"f(1, ", ", 2)"}, {"f{", "}"}, {"{a = ", "}"}, {"{[", "] = 1}"}, {"a[", "]"}, {"function() return ", " end"}, {"function() local y = 1; f(", ") end"}, {"- ", ""},
	} {
		s := "x = " + strings.Repeat(wrap.open, 90) + "a" + strings.Repeat(strings.Repeat(" + a", 1000)+wrap.closing, 90)
		if wrap.closing == "" {
			s = "x = " + strings.Repeat(wrap.open, 90) + "a" + strings.Repeat(" + a", 90000)
		}
		if got := message(t, s); !strings.HasPrefix(got, "1: chunk has too many syntax levels near ") {
			t.Errorf("%s: %q", wrap.open, got)
		}
	}
	// Functions beside each other are not in each other.
	if got := message(t, strings.Repeat("x = function() return a"+strings.Repeat(" + a", 10000)+" end\n", 10)); got != "" {
		t.Error(got)
	}
}

func TestHostileSourcesTakeLinearTime(t *testing.T) {
	const size = 1 << 20
	for _, c := range []struct{ name, before, part, after, want string }{
		{"statements", "", "a=1 ", "", ""},
		{"empty statements", "", ";", "", ""},
		{"lines", "", "\n", "", ""},
		{"labels", "", "::a::", "", ""},
		{"comments", "", "--\n", "", ""},
		{"long comments", "", "--[[]]", "", ""},
		{"a comment that never ends", "--[==[", "]=", "", "1: unfinished long comment (starting at line 1) near <eof>"},
		{"brackets that never close", "x = [==[", "]=]", "", "1: unfinished long string (starting at line 1) near <eof>"},
		{"a wrong bracket", "x = [", "=", "", "1: invalid long string delimiter near '[==="},
		{"a string", "x = '", "a", "'", ""},
		{"a string of escapes", "x = '", "\\65", "'", ""},
		{"a string of spaces", "x = '", "\\z  ", "'", ""},
		{"a string of lines", "x = [[", "\r\n", "]]", ""},
		{"a string that never ends", "x = '", "\\n", "", "1: unfinished string near <eof>"},
		{"a long escape", `x = '\u{`, "0", "41}'", ""},
		{"a number", "x = 1", "0", "", ""},
		{"a fraction", "x = 0.", "1", "", ""},
		{"a hexadecimal number", "x = 0x", "f", "", ""},
		{"a malformed number", "x = 1", "e+1", "", "1: malformed number near '1e+1"},
		{"a name", "", "a", " = 1", ""},
		{"else-ifs", "if a then ", "elseif a then ", "end", ""},
		{"values", "x = 1", ",1", "", ""},
		{"items", "x = {", "{},", "}", ""},
		{"named items", "x = {", "a=1;", "}", ""},
		{"arguments", "f(1", ",1", ")", ""},
		{"parameters", "function f(a", ",a", ") end", ""},
		{"locals", "local a", ",a", "", ""},
		{"iterators", "for a", ",a", " in f do end", ""},
		{"functions", "", "function f()end ", "", ""},
		{"nonsense", "", "\x80", "", "1: unexpected symbol near '<\\128>'"},
	} {
		source := c.before + strings.Repeat(c.part, size/len(c.part)) + c.after
		began := time.Now()
		if got := message(t, source); (c.want == "") != (got == "") || !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: %q", c.name, got)
		}
		// In quadratic time, it would be a minute or more.
		if took := time.Since(began); took > 15*time.Second {
			t.Errorf("%s: %v", c.name, took)
		}
	}
}
