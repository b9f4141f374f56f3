package syntax_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

func parse(t *testing.T, source string) *syntax.FuncExpr {
	t.Helper()
	fn, err := syntax.Parse("test.lua", source)
	if err != nil {
		t.Fatalf("%v in\n%s", err, source)
	}
	return fn
}

func TestATreeIsWhatTheManualSays(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"", ""},
		{";;;", ""},
		{"local a", "(local a)"},
		{"local a <const>, b <close> = 1, nil", "(local a<const> b<close> = 1 nil)"},
		{"a = 1", "(set a = 1)"},
		{"a, b.c, d[1] = f(), ...", `(set a (index b "c") (index d 1) = (call f) ...)`},
		{"f()", "(call f)"},
		{"f 'x'", `(call f "x")`},
		{"f [[x]] {y} (z)", `(call (call (call f "x") (table - y)) z)`},
		{"a.b:c(1, 2):d'e'", `(method (method (index a "b") c 1 2) d "e")`},
		{"(f)()", "(call (paren f))"},
		{"(f()).x = (g())", `(set (index (paren (call f)) "x") = (paren (call g)))`},
		{"do local x end", "(do [ (local x)])"},
		{"while a do b() end", "(while a [ (call b)])"},
		{"repeat local x = 1 until x", "(repeat [ (local x = 1)] x)"},
		{"if a then b() end", "(if a [ (call b)])"},
		{"if a then elseif b then c() else d() end", "(if a [] b [ (call c)] else [ (call d)])"},
		{"for i = 1, 2 do end", "(for i 1 2 [])"},
		{"for i = 1, 2, 3 do break end", "(for i 1 2 3 [ (break)])"},
		{"for k in f do end", "(for k in f [])"},
		{"for k, v in a, b, c do end", "(for k v in a b c [])"},
		{"function f() end", "(function f (fn []))"},
		{"function a.b.c(x, ...) end", `(function (index (index a "b") "c") (fn x ... []))`},
		{"function a.b:c(x) end", `(function (index (index a "b") "c") (fn self x []))`},
		{"local function f(a, b) return f end", "(localfunction f (fn a b [ (return f)]))"},
		{"return", "(return)"},
		{"return;", "(return)"},
		{"return 1, function(...) return ... end;", "(return 1 (fn ... [ (return ...)]))"},
		{"goto x ::x::", "(goto x) (label x)"},
		{"::a::::b::", "(label a) (label b)"},
		{"x = {}", "(set x = (table))"},
		{"x = {1, a; b = 2, ['c'] = 3, [4] = d, e,}", `(set x = (table - 1 - a "b": 2 "c": 3 4: d - e))`},
		{"x = {a == b, a = b, (a)}", `(set x = (table - (== a b) "a": b - (paren a)))`},
		{"x = {f{}, f'', a.b}", `(set x = (table - (call f (table)) - (call f "") - (index a "b")))`},
		{"x = nil, true, false", "(set x = nil true false)"},
		{"f\n(g)", "(call f g)"}, // no end of statement, whatever the lines are
	} {
		if got := show(parse(t, c.source), false); got != c.want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

func TestOperatorsBindAsInTheManual(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"a + b - c", "(- (+ a b) c)"},
		{"a * b + c / d", "(+ (* a b) (/ c d))"},
		{"a // b % c", "(% (// a b) c)"},
		{"a ^ b ^ c", "(^ a (^ b c))"},
		{"a .. b .. c", "(.. a (.. b c))"},
		{"-a ^ b", "(- (^ a b))"},
		{"a ^ -b", "(^ a (- b))"},
		{"a ^ -b ^ c", "(^ a (- (^ b c)))"},
		{"2 ^ - 3 * 4", "(* (^ 2 (- 3)) 4)"},
		{"not a == b", "(== (not a) b)"},
		{"not not -#~a", "(not (not (- (# (~ a)))))"},
		{"-x.y", `(- (index x "y"))`},
		{"- 1", "(- 1)"},
		{"a - -1", "(- a (- 1))"},
		{"a or b and c", "(or a (and b c))"},
		{"a and b or c and d", "(or (and a b) (and c d))"},
		{"a or b or c", "(or (or a b) c)"},
		{"a < b == c ~= d", "(~= (== (< a b) c) d)"},
		{"a <= b >= c > d", "(> (>= (<= a b) c) d)"},
		{"a | b ~ c & d", "(| a (~ b (& c d)))"},
		{"a & b << c + d", "(& a (<< b (+ c d)))"},
		{"a << b >> c", "(>> (<< a b) c)"},
		{"a .. b + c", "(.. a (+ b c))"},
		{"a << b .. c", "(<< a (.. b c))"},
		{"a < b | c", "(< a (| b c))"},
		{"a and b < c", "(and a (< b c))"},
		{"a ~ ~b", "(~ a (~ b))"},
		{"(a + b) * c", "(* (paren (+ a b)) c)"},
		{"a..1 ..2", "(.. a (.. 1 2))"},
		{"f() + g'' * {}", `(+ (call f) (* (call g "") (table)))`},
	} {
		want := "(return " + c.want + ")"
		if got := show(parse(t, "return "+c.source), false); got != want {
			t.Errorf("%s\n got %s\nwant %s", c.source, got, want)
		}
	}
}

func TestTokensAreRead(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{`""`, `""`},
		{`'"'`, `"\""`},
		{`"\a\b\f\n\r\t\v\\\"\'"`, `"\007\008\012\010\013\009\011\\\"'"`},
		{"'\\\n\\\r\\\r\n\\\n\r'", `"\010\010\010\010"`},
		{`"\x41\xfF\x00"`, `"A\255\000"`},
		{`"\65\065\0651\255\0z"`, `"AAA1\255\000z"`},
		{"'a\\z  \t\n\r\n\v\f b\\z'", `"ab"`},
		{`"\u{41}\u{7ff}\u{20AC}"`, `"A\223\191\226\130\172"`},
		{`"\u{7f}\u{80}\u{7FF}\u{800}\u{FFFF}\u{10000}"`, `"\127\194\128\223\191\224\160\128\239\191\191\240\144\128\128"`},
		{`"\u{1fffff}\u{200000}\u{3ffffff}"`, `"\247\191\191\191\248\136\128\128\128\251\191\191\191\191"`},
		{`"\u{4000000}\u{7FFFFFFF}\u{0000000000041}\u{d800}"`, `"\252\132\128\128\128\128\253\191\191\191\191\191A\237\160\128"`},
		{"'\x00\xff'", `"\000\255"`},
		{"[[]]", `""`},
		{"[[a]b]]", `"a]b"`},
		{"[=[a]]b]==]c]=]", `"a]]b]==]c"`},
		{"[[\na\n]]", `"a\010"`},
		{"[[\r\na\r\n\n\rb\r\r\n]]", `"a\010\010b\010\010"`},
		{"[[\n\na\\n\x00]]", `"\010a\\n\000"`},
		{"[==[\r]]]=]]==]", `"]]]=]"`},
		{"--[[ 1 ]] 2", "2"},
		{"--[==[ \n]]\n]==]3", "3"},
		{"--[=4\n 5", "5"},
		{"--[ [\n 5", "5"},
		{"--", ""},
		{"--[[]]--x\n6", "6"},
		{"0", "0"},
		{"0x10", "16"},
		{"0XfFp1", "510.0"},
		{"9223372036854775807", "9223372036854775807"},
		{"9223372036854775808", "9.223372036854776e+18"},
		{"0xffffffffffffffff", "0xffffffffffffffff"},
		{"0x1ffffffffffffffff", "0xffffffffffffffff"},
		{"3.", "3.0"},
		{".5", "0.5"},
		{"3e2", "300.0"},
		{"3E-2", "0.03"},
		{"0x.8", "0.5"},
		{"0xA.", "10.0"},
		{"0x1p-1", "0.5"},
		{"0x.1P+4", "1.0"},
		{"1e999", "1e999"},
		{"1e-999", "0.0"},
		{"a_1", "a_1"},
		{"_ENV", "_ENV"},
		{"andy", "andy"},
		{"functions", "functions"},
	} {
		got := show(parse(t, "return "+c.source), false)
		want := strings.TrimSpace("(return " + c.want)
		if got != want+")" {
			t.Errorf("%q\n got %s\nwant %s)", c.source, got, want)
		}
	}
}

func TestPositionsAreThoseOfTheSource(t *testing.T) {
	for _, c := range []struct{ source, want string }{
		{"x = 1", "(set@1:1 x@1:1 = 1@1:5) end@1:6"},
		{"a.b\n [c](d)", `(call@2:5 (index@2:2 (index@1:2 a@1:1 "b"@1:3) c@2:3) d@2:6) end@2:8`},
		{"a:b 'c'", `(method@1:5 a@1:1 b@1:3 "c"@1:5) end@1:8`},
		{"f{}", "(call@1:2 f@1:1 (table@1:2 end@1:3)) end@1:4"},
		{"return a\n+ -b", "(return@1:1 (+@2:1 a@1:8 (-@2:3 b@2:4))) end@2:5"},
		{"return (\ta)", "(return@1:1 (paren@1:8 a@1:10)) end@1:12"},
		{"return {1,\n a=2, [b]=3 }", `(return@1:1 (table@1:8 -@1:9 1@1:9 "a"@2:2:@2:2 2@2:4 b@2:8:@2:7 3@2:11 end@2:13)) end@2:14`},
		{"local a <const>,\nb = 1", "(local@1:1 a<const>@1:7 b@2:1 = 1@2:5) end@2:6"},
		{"local function f(a)\nend", "(localfunction@1:1 f@1:16 (fn@1:1 a@1:18 [ end@2:1]@2:1)) end@2:4"},
		{"function a.b:c() end", `(function@1:1 (index@1:13 (index@1:11 a@1:10 "b"@1:12) "c"@1:14) (fn@1:1 self@1:13 [ end@1:18]@1:18)) end@1:21`},
		{"f(function() end)", "(call@1:2 f@1:1 (fn@1:3 [ end@1:14]@1:14)) end@1:18"},
		{"for i=1,2 do\nend", "(for@1:1 i@1:5 1@1:7 2@1:9 [ end@2:1]) end@2:4"},
		{"for a,b in c do\rend", "(for@1:1 a@1:5 b@1:7 in c@1:12 [ end@2:1]) end@2:4"},
		{"if a then\r\nelse\n\rend", "(if@1:1 a@1:4 [ end@2:1] else [ end@3:1]) end@3:4"},
		{"while a do end", "(while@1:1 a@1:7 [ end@1:12]) end@1:15"},
		{"repeat until a", "(repeat@1:1 [ end@1:8] a@1:14) end@1:15"},
		{"do end goto x ::x:: break", "(do@1:1 [ end@1:4]) (goto x@1:8) (label x@1:15) (break@1:21) end@1:26"},
		{"#!/usr/bin/lua\nx()", "(call@2:2 x@2:1) end@2:4"},
		{"# no more", " end@1:10"},
		{"\xEF\xBB\xBFx()", "(call@1:5 x@1:4) end@1:7"},
		{"\xEF\xBB\xBF#x\r\nx()", "(call@2:2 x@2:1) end@2:4"},
		{"return [[\n\n]], 'ö', --[[\n]] '\\\n\\z\n ' .. x", `(return@1:1 "\010"@1:8 "\195\182"@3:5 (..@6:4 "\010"@4:4 x@6:7)) end@6:8`},
	} {
		if got := show(parse(t, c.source), true); got != strings.TrimSpace(c.want) && got != c.want {
			t.Errorf("%q\n got %s\nwant %s", c.source, got, c.want)
		}
	}
}

func TestTheMainFunctionIsVararg(t *testing.T) {
	fn := parse(t, "x()\nreturn ...\n")
	if !fn.Vararg || len(fn.Params) != 0 || fn.Pos != (syntax.Pos{}) || fn.End != (syntax.Pos{Line: 3, Col: 1}) {
		t.Errorf("the main function is %+v", fn)
	}
}

func TestAllScriptsOfTheRepositoryParse(t *testing.T) {
	files := 0
	for name, source := range scripts(t) {
		if strings.Contains(name, "/testdata/") { // some of those are wrong on purpose
			continue
		}
		files++
		if _, err := syntax.Parse(name, source); err != nil {
			t.Error(err)
		}
	}
	if files < 10 {
		t.Errorf("only %d scripts were found", files)
	}
}

// scripts are the Lua files of the repository.
func scripts(tb testing.TB) map[string]string {
	tb.Helper()
	all := map[string]string{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && path != root && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case filepath.Ext(path) != ".lua":
			return nil
		}
		source, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // another test's
		}
		all[path] = string(source)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
