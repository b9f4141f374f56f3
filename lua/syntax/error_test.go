package syntax_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

// broken are sources with what is wrong with them, as PUC Lua says it.
var broken = []struct{ source, want string }{
	{"x =", "1: unexpected symbol near <eof>"},
	{"x = \n\n", "3: unexpected symbol near <eof>"},
	{"x", "1: syntax error near <eof>"},
	{"x y", "1: syntax error near 'y'"},
	{"x.y", "1: syntax error near <eof>"},
	{"x\n1", "2: syntax error near '1'"},
	{"(f()) = 1", "1: syntax error near '='"},
	{"(a) = 1", "1: syntax error near '='"},
	{"(f())", "1: syntax error near <eof>"},
	{"f() = 1", "1: syntax error near '='"},
	{"a, f() = 1", "1: syntax error near '='"},
	{"a, (b), c = 1", "1: syntax error near ','"},
	{"a, b", "1: '=' expected near <eof>"},
	{"a, b + 1", "1: '=' expected near '+'"},
	{"a, 1 = 2", "1: unexpected symbol near '1'"},
	{"a, = 2", "1: unexpected symbol near '='"},
	{"a = 1,", "1: unexpected symbol near <eof>"},
	{"1 = a", "1: unexpected symbol near '1'"},
	{"'x' = a", "1: unexpected symbol near ''x''"},
	{"\"x\\ty\\065\" = a", "1: unexpected symbol near '\"x\tyA\"'"},
	{"[[\nx\r\ny]] = a", "3: unexpected symbol near '[[x\ny]]'"},
	{"[==[x]==] = a", "1: unexpected symbol near '[==[x]==]'"},
	{"'a\\0b'", "1: unexpected symbol near ''a'"},
	{"1.50 = a", "1: unexpected symbol near '1.50'"},
	{"0xFf = a", "1: unexpected symbol near '0xFf'"},
	{"nil = 1", "1: unexpected symbol near 'nil'"},
	{"x = 5 y 6", "1: syntax error near '6'"},
	{"x = = 2", "1: unexpected symbol near '='"},
	{"x = 1 2", "1: unexpected symbol near '2'"},
	{"x == 1", "1: syntax error near '=='"},
	{"x = a b = 1, c = 3", "1: unexpected symbol near '='"},
	{"x = not", "1: unexpected symbol near <eof>"},
	{"x = -", "1: unexpected symbol near <eof>"},
	{"x = 1 + ", "1: unexpected symbol near <eof>"},
	{"x = 1 + * 2", "1: unexpected symbol near '*'"},
	{"x = a ~= ~= b", "1: unexpected symbol near '~='"},
	{"x = a // // b", "1: unexpected symbol near '//'"},
	{"x = a .. .. b", "1: unexpected symbol near '..'"},
	{"x = << 1", "1: unexpected symbol near '<<'"},
	{"x = >> 1", "1: unexpected symbol near '>>'"},
	{"x = >= 1", "1: unexpected symbol near '>='"},
	{"x = <= 1", "1: unexpected symbol near '<='"},
	{"x = (1", "1: ')' expected near <eof>"},
	{"x = (\n1\n", "3: ')' expected (to close '(' at line 1) near <eof>"},
	{"x = (1 2)", "1: ')' expected near '2'"},
	{"x = ()", "1: unexpected symbol near ')'"},
	{"f(", "1: unexpected symbol near <eof>"},
	{"f(a", "1: ')' expected near <eof>"},
	{"f(a,)", "1: unexpected symbol near ')'"},
	{"f(a\n,b\n", "3: ')' expected (to close '(' at line 1) near <eof>"},
	{"a:b", "1: function arguments expected near <eof>"},
	{"a:b = 1", "1: function arguments expected near '='"},
	{"a:1()", "1: <name> expected near '1'"},
	{"a.1 = 1", "1: syntax error near '.1'"},
	{"a. 1 = 1", "1: <name> expected near '1'"},
	{"a.end = 1", "1: <name> expected near 'end'"},
	{"a[1 = 1", "1: ']' expected near '='"},
	{"a[] = 1", "1: unexpected symbol near ']'"},
	{"x = {", "1: unexpected symbol near <eof>"},
	{"x = {1", "1: '}' expected near <eof>"},
	{"x = {\n1\n2", "3: '}' expected (to close '{' at line 1) near '2'"},
	{"x = {,}", "1: unexpected symbol near ','"},
	{"x = {1,,}", "1: unexpected symbol near ','"},
	{"x = {[1]}", "1: '=' expected near '}'"},
	{"x = {[1 = 2}", "1: ']' expected near '='"},
	{"x = {1 = 2}", "1: '}' expected near '='"},
	{"x = {a = }", "1: unexpected symbol near '}'"},
	{"x = {a.b = 1}", "1: '}' expected near '='"},
	{"x = {...; ...} y", "1: syntax error near <eof>"},
	{"do", "1: 'end' expected near <eof>"},
	{"do\n", "2: 'end' expected (to close 'do' at line 1) near <eof>"},
	{"do x() until y", "1: 'end' expected near 'until'"},
	{"end", "1: <eof> expected near 'end'"},
	{"x()\nuntil x", "2: <eof> expected near 'until'"},
	{"else", "1: <eof> expected near 'else'"},
	{"return 1 x()", "1: <eof> expected near 'x'"},
	{"return return", "1: unexpected symbol near 'return'"},
	{"return;;", "1: <eof> expected near ';'"},
	{"do return 1,\n end", "2: unexpected symbol near 'end'"},
	{"do return end end", "1: <eof> expected near 'end'"},
	{"while true\nx()", "2: 'do' expected near 'x'"},
	{"while do end", "1: unexpected symbol near 'do'"},
	{"while true do\n\n", "3: 'end' expected (to close 'while' at line 1) near <eof>"},
	{"repeat x()", "1: 'until' expected near <eof>"},
	{"repeat\nx()\nend", "3: 'until' expected (to close 'repeat' at line 1) near 'end'"},
	{"repeat until", "1: unexpected symbol near <eof>"},
	{"if x", "1: 'then' expected near <eof>"},
	{"if then end", "1: unexpected symbol near 'then'"},
	{"\n\nif x then\n\nelseif y then\n", "6: 'end' expected (to close 'if' at line 3) near <eof>"},
	{"if x then else elseif y then end", "1: 'end' expected near 'elseif'"},
	{"if x then else else end", "1: 'end' expected near 'else'"},
	{"if x then end end", "1: <eof> expected near 'end'"},
	{"for", "1: <name> expected near <eof>"},
	{"for 1 = 1, 2 do end", "1: <name> expected near '1'"},
	{"for x", "1: '=' or 'in' expected near <eof>"},
	{"for x.y = 1, 2 do end", "1: '=' or 'in' expected near '.'"},
	{"for x, y = 1, 2 do end", "1: 'in' expected near '='"},
	{"for x, in y do end", "1: <name> expected near 'in'"},
	{"for x = 1 do end", "1: ',' expected near 'do'"},
	{"for x = 1, 2, 3, 4 do end", "1: 'do' expected near ','"},
	{"for x = 1, 2\nx()", "2: 'do' expected near 'x'"},
	{"for x in do end", "1: unexpected symbol near 'do'"},
	{"for x in y do\n", "2: 'end' expected (to close 'for' at line 1) near <eof>"},
	{"for x <const> = 1, 2 do end", "1: '=' or 'in' expected near '<'"},
	{"function", "1: <name> expected near <eof>"},
	{"function f", "1: '(' expected near <eof>"},
	{"function f(", "1: <name> or '...' expected near <eof>"},
	{"function f(a", "1: ')' expected near <eof>"},
	{"function f(a,) end", "1: <name> or '...' expected near ')'"},
	{"function f(..., a) end", "1: ')' expected near ','"},
	{"function f(1) end", "1: <name> or '...' expected near '1'"},
	{"function f(a b) end", "1: ')' expected near 'b'"},
	{"function f()\n", "2: 'end' expected (to close 'function' at line 1) near <eof>"},
	{"function f:g.h() end", "1: '(' expected near '.'"},
	{"function f:g:h() end", "1: '(' expected near ':'"},
	{"function f[1]() end", "1: '(' expected near '['"},
	{"function () end", "1: <name> expected near '('"},
	{"x = function f() end", "1: '(' expected near 'f'"},
	{"x = function\n()\n", "3: 'end' expected (to close 'function' at line 2) near <eof>"},
	{"function f() return ... end", "1: cannot use '...' outside a vararg function near '...'"},
	{"function f(...)\nreturn function() x = ... end end", "2: cannot use '...' outside a vararg function near '...'"},
	{"local", "1: <name> expected near <eof>"},
	{"local function", "1: <name> expected near <eof>"},
	{"local function a.b() end", "1: '(' expected near '.'"},
	{"local function f\n()\n", "3: 'end' expected (to close 'function' at line 2) near <eof>"},
	{"local 1", "1: <name> expected near '1'"},
	{"local a, = 1", "1: <name> expected near '='"},
	{"local a.b = 1", "1: unexpected symbol near '.'"},
	{"local x <foo> = 1", "1: unknown attribute 'foo'"},
	{"local x <foo>\n\n", "3: unknown attribute 'foo'"},
	{"local x <const", "1: '>' expected near <eof>"},
	{"local x <1>", "1: <name> expected near '1'"},
	{"local x <>", "1: <name> expected near '>'"},
	{"local x <const>= 1, 2, <", "1: '>' expected near '>='"},
	{"local a <close>, b <const>, c <close> = 1", "1: multiple to-be-closed variables in local list"},
	{"goto", "1: <name> expected near <eof>"},
	{"goto 1", "1: <name> expected near '1'"},
	{"goto if", "1: <name> expected near 'if'"},
	{"::x", "1: '::' expected near <eof>"},
	{"::x:", "1: '::' expected near ':'"},
	{"::1::", "1: <name> expected near '1'"},
	{"break 1", "1: unexpected symbol near '1'"},
	{"x = }", "1: unexpected symbol near '}'"},
	{"x = 1 $ 2", "1: unexpected symbol near '$'"},
	{"x = !y", "1: unexpected symbol near '!'"},
	{"x = \x01", "1: unexpected symbol near '<\\1>'"},
	{"x = \x00", "1: unexpected symbol"},
	{"x = \x7f", "1: unexpected symbol near '<\\127>'"},
	{"x = ö", "1: unexpected symbol near '<\\195>'"},
	{"x = 'abc", "1: unfinished string near <eof>"},
	{"x = 'abc\n'", "1: unfinished string near ''abc'"},
	{"x = \"a\\65b\r", "1: unfinished string near '\"aAb'"},
	{"x = 'a\\\nb\nc'", "2: unfinished string near ''a\nb'"},
	{"x = 'a\\", "1: unfinished string near <eof>"},
	{"x = 'a\\z  \n ", "2: unfinished string near <eof>"},
	{"x = 'a\\n", "1: unfinished string near <eof>"},
	{"x = 'ab\\q'", "1: invalid escape sequence near ''ab\\q'"},
	{"x = 'ab\\", "1: unfinished string near <eof>"},
	{"x = 'ab\\\x80'", "1: invalid escape sequence near ''ab\\\x80'"},
	{"x = '\\xg1'", "1: hexadecimal digit expected near ''\\xg'"},
	{"x = '\\x1g'", "1: hexadecimal digit expected near ''\\x1g'"},
	{"x = '\\x1", "1: hexadecimal digit expected near ''\\x1'"},
	{"x = 'a\\x", "1: hexadecimal digit expected near ''a\\x'"},
	{"x = '\\300'", "1: decimal escape too large near ''\\300''"},
	{"x = '\\2567'", "1: decimal escape too large near ''\\2567'"},
	{"x = '\\256", "1: decimal escape too large near ''\\256'"},
	{"x = '\\u'", "1: missing '{' near ''\\u''"},
	{"x = '\\u", "1: missing '{' near ''\\u'"},
	{"x = '\\u{}'", "1: hexadecimal digit expected near ''\\u{}'"},
	{"x = '\\u{", "1: hexadecimal digit expected near ''\\u{'"},
	{"x = '\\u{1'", "1: missing '}' near ''\\u{1''"},
	{"x = '\\u{1", "1: missing '}' near ''\\u{1'"},
	{"x = '\\u{80000000}'", "1: UTF-8 value too large near ''\\u{80000000'"},
	{"x = '\\u{123456789}'", "1: UTF-8 value too large near ''\\u{123456789'"},
	{"x = 'a\\0b\\q'", "1: invalid escape sequence near ''a'"},
	{"x = [[a\nb", "2: unfinished long string (starting at line 1) near <eof>"},
	{"x =\n[==[a\n]]\n\r]=]", "4: unfinished long string (starting at line 2) near <eof>"},
	{"--[[\n\n", "3: unfinished long comment (starting at line 1) near <eof>"},
	{"x()--[=[ ]]", "1: unfinished long comment (starting at line 1) near <eof>"},
	{"x = [=a", "1: invalid long string delimiter near '[='"},
	{"x = [==", "1: invalid long string delimiter near '[=='"},
	{"x = 1x", "1: malformed number near '1x'"},
	{"x = 1xy", "1: malformed number near '1x'"},
	{"x = 1..2", "1: malformed number near '1..2'"},
	{"x = 1.2.3", "1: malformed number near '1.2.3'"},
	{"x = 0x", "1: malformed number near '0x'"},
	{"x = 0xg", "1: malformed number near '0xg'"},
	{"x = 0x.p1", "1: malformed number near '0x.p1'"},
	{"x = 0x1p", "1: malformed number near '0x1p'"},
	{"x = 0x1p+", "1: malformed number near '0x1p+'"},
	{"x = 1e", "1: malformed number near '1e'"},
	{"x = 1e+", "1: malformed number near '1e+'"},
	{"x = 1e+a", "1: malformed number near '1e+a'"},
	{"x = 1e5e+5", "1: malformed number near '1e5e+5'"},
	{"x = 3_000", "1: malformed number near '3_'"},
	{"x = 08f", "1: malformed number near '08f'"},
	{"x = .5.5", "1: malformed number near '.5.5'"},
	{"x = .0x1", "1: malformed number near '.0x1'"},
	{"x = 12abc", "1: malformed number near '12abc'"},
}

// message is what Parse says about a source, from the line on; empty if it takes it.
func message(t *testing.T, source string) string {
	t.Helper()
	_, err := syntax.Parse("agent.lua", source)
	if err == nil {
		return ""
	}
	var e *syntax.SyntaxError
	if !errors.As(err, &e) {
		t.Fatalf("%T is no *SyntaxError: %v", err, err)
	}
	inside(t, source, e.Pos)
	return strings.TrimPrefix(err.Error(), "agent.lua:")
}

// inside fails the test unless a position is one of a source, or the place behind its end.
func inside(t *testing.T, source string, p syntax.Pos) {
	t.Helper()
	line := int32(1)
	for i := 0; i <= len(source); i++ {
		if line == p.Line {
			rest := source[i:]
			if n := strings.IndexAny(rest, "\r\n"); n >= 0 {
				rest = rest[:n]
			}
			if p.Col < 1 || int(p.Col) > len(rest)+1 {
				t.Fatalf("column %d in a line of %d bytes, of %q", p.Col, len(rest), source)
			}
			return
		}
		if i == len(source) {
			break
		}
		if c := source[i]; c == '\n' || c == '\r' {
			line++
			if i+1 < len(source) && (source[i+1] == '\n' || source[i+1] == '\r') && source[i+1] != c {
				i++
			}
		}
	}
	t.Fatalf("line %d of %q", p.Line, source)
}

func TestErrorsSayWhatPUCLuaSays(t *testing.T) {
	for _, c := range broken {
		if got := message(t, c.source); got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

func TestErrorsHaveTheColumnOfWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		source    string
		line, col int32
	}{
		{"x = = 2", 1, 5},
		{"x =\n\t=", 2, 2},
		{"x = (1", 1, 7},
		{"if x then\n\n  ", 3, 3},
		{"x = 'abc", 1, 9},
		{"x = 'abc\n'", 1, 5},
		{"x = 'a\\\nbc\n'", 2, 1}, // the string begins in another line than Lua names
		{"x = 'abc\\q'", 1, 9},
		{"x = 'abc\\\n\\n \\300'", 2, 4},
		{"x = [[\n  ", 2, 3},
		{"x = [=", 1, 5},
		{"x = 1 + 3x", 1, 9},
		{"x [[\n]] = 1", 2, 4},
		{"x = 1 [[\n]] = 1", 2, 1}, // so does this one
		{"local x <foo> = 1", 1, 15},
		{"local a <close>, c <close> = 1", 1, 28},
		{"x = {a,\n b.c = 1}", 2, 6},
		{"\xEF\xBB\xBF =", 1, 5},
	} {
		_, err := syntax.Parse("agent.lua", c.source)
		var e *syntax.SyntaxError
		if want := (syntax.Pos{Line: c.line, Col: c.col}); !errors.As(err, &e) || e.Pos != want {
			t.Errorf("%q: %+v, want it at %v", c.source, err, want)
		}
	}
}

func TestAnErrorNamesTheChunk(t *testing.T) {
	_, err := syntax.Parse("agent.lua", "x()\nx x")
	if err == nil || err.Error() != "agent.lua:2: syntax error near 'x'" {
		t.Error(err)
	}
}

func TestAMessageShowsTheBeginningOfAHugeToken(t *testing.T) {
	for _, source := range []string{"x = y '" + strings.Repeat("a", 1<<20) + "' 'b", strings.Repeat("a", 1<<20), "'" + strings.Repeat("\\65", 1<<16) + "\\q"} {
		if got := message(t, source); len(got) > 300 {
			t.Errorf("a message of %d bytes: %.100s", len(got), got)
		}
	}
}

func TestTheExpectedErrorsAreThoseOfPUCLua(t *testing.T) {
	p := startPUC(t)
	for _, c := range broken {
		if _, got := p.compile(t, c.source); strings.TrimPrefix(got, "agent.lua:") != c.want {
			t.Errorf("%q\nPUC %s\nwant %s", c.source, got, c.want)
		}
	}
}
