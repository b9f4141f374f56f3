package std_test

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/internal/puctest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
)

var (
	scripts    = flag.Int("scripts", 60, "how many scripts of generated calls to compare with PUC Lua")
	scriptSeed = flag.Uint64("scripts.seed", 1, "the seed of the first of them; the others follow")
)

// harness returns a function that runs a script whose calls of C tell what comes of them.
//
//go:embed testdata/harness.lua
var harness string

// server lets PUC Lua run scripts that come on its standard input, each behind its length.
const server = `
local run = assert(load(io.read(tonumber(io.read("l"))), "=harness"))()
while true do
  local n = io.read("l")
  if not n then return end
  local out = run(io.read(tonumber(n)))
  io.write(#out, "\n", out)
  io.flush()
end`

// startPUC starts the reference implementation with the harness.
func startPUC(t *testing.T) *puctest.Process {
	t.Helper()
	p := puctest.Start(t, "-e", server)
	p.Send(t, harness)
	return p
}

// machine is a VM of an engine whose library this is.
func machine(t testing.TB, allowed time.Duration) vm.VM {
	t.Helper()
	end := time.Now().Add(allowed)
	m := lua54.Engine{}.New(vm.Options{Trusted: true, Tick: func() error {
		if time.Now().After(end) {
			return errors.New("CPU budget exceeded")
		}
		return nil
	}})
	t.Cleanup(m.Close)
	return m
}

// ours runs a script in a machine of its own.
func ours(t *testing.T, source string) (out string) {
	t.Helper()
	defer func() {
		if r := recover(); r != nil {
			out = fmt.Sprintf("a panic: %v", r)
		}
	}()
	s := machine(t, 20*time.Second).Main()
	if err := s.Load("=harness", harness); err != nil {
		return err.Error()
	}
	s.Call(0, 1)
	s.PushString(source)
	if err := s.PCall(1, 1); err != nil {
		return "error: " + s.Text(-1)
	}
	out, _ = s.String(-1)
	return out
}

func compare(t *testing.T, p *puctest.Process, source string) bool {
	t.Helper()
	want, got := strings.Split(p.Ask(t, source), "\n"), strings.Split(ours(t, source), "\n")
	lines := strings.Split(source, "\n")
	same := true
	for i := range min(len(want), len(got)) {
		if want[i] != got[i] {
			line := ""
			if i < len(lines) {
				line = lines[i]
			}
			t.Errorf("%s\ngot  %.400s\nPUC: %.400s", line, got[i], want[i])
			same = false
		}
	}
	if len(want) != len(got) {
		t.Errorf("%d lines, PUC prints %d", len(got), len(want))
		same = false
	}
	return same
}

// arguments are values by their kind: s a string, n an integer, f a number, p a pattern, r a replacement, l a list, o a format of string.format, k one of
// string.pack, d one of os.date, u text in UTF-8, b a truth value, a any value.
var arguments = map[byte][]string{
	's': {
		`""`, `"a"`, `"abc"`, `"hello world"`, `"10"`, `"0x10"`, `" 5 "`, `"1e2"`, `"a\0b"`, `"\xff\x80"`, `"x=1, y=2"`, `"a.b.c"`, `"  trim  "`, `("ab"):rep(60)`, `"\n\r\t\"\\1"`,
		`12`, `1.5`, `-7`, `"((a)(b)) c"`, `"aaa"`, `"%d"`, `"THE (quick) fox"`, `-0.0`, `1e15`, `2^53`,
	},
	'n': {`0`, `1`, `-1`, `2`, `3`, `-3`, `5`, `10`, `100`, `255`, `256`, `-100`, `2147483647`, `-2147483648`, `math.maxinteger`, `math.mininteger`, `9007199254740993`, `2.0`, `"3"`, `"0x10"`, `"1e1"`, `1`, `2`, `3`},
	'f': {
		`0.0`, `-0.0`, `0.5`, `1.0`, `3.0`, `-2.5`, `1e15`, `1e16`, `1e100`, `1e308`, `2^53`, `2^63`, `-2^63`, `1/0`, `-1/0`, `0/0`, `-(0/0)`, `5e-324`, `2.2250738585072014e-308`, `0.1`,
		`3.14159265358979`, `-1e-5`, `123456.789`, `1`, `7`, `-7`, `"0x1p4"`, `"1.5"`, `99999999999999.5`, `1e14`, `123456789012345`, `0.1 + 0.2`, `100`, `1e-4`, `0.00001234`,
	},
	'p': {
		`"."`, `"%a+"`, `"%w*"`, `"(%w+)=(%w+)"`, `"^%s*(.-)%s*$"`, `"%d"`, `"[abc]"`, `"[^abc]+"`, `"[a-c]-b"`, `"()"`, `"()a()"`, `"%b()"`, `"%f[%w]%w+"`, `"(a)(b)?"`, `"(.)%1"`,
		`"a-$"`, `"^a"`, `"l+"`, `"[%w_]+"`, `"[]]"`, `"[^]]"`, `"[a-]"`, `"[%a-z]"`, `"%"`, `"["`, `"[a"`, `"(a"`, `"a)"`, `"%1"`, `"%f"`, `"%b"`, `"%bx"`, `"[%]"`, `"x*"`, `"o w"`, `""`, `"a?b?c?"`, `"%."`,
		`"[\0-\31]"`, `"%z"`, `"\0"`, `"(()a)"`, `"(a*(.)%w(%s*))"`, `"%g+"`, `"%u+%l*"`, `"%x%x"`, `"%p"`, `"%C"`, `"$"`, `"a$b"`, `"^"`, `"(%0)"`, `("(a)"):rep(33)`, `"[a-%d]"`, `"%S+"`, `"-"`, `"+"`, `"a**"`,
	},
	'r': {
		`"x"`, `""`, `"%0%0"`, `"%1"`, `"<%1>"`, `"%2"`, `"%%"`, `"%"`, `"%a"`, `{a = "A", hello = 5, x = true}`, `{}`, `{a = false, b = 1.5}`, `function(a, b) return b or a end`, `function() end`,
		`function() return {} end`, `function(...) return select("#", ...) end`, `function() return false end`, `5`, `2.5`, `string.upper`,
	},
	'l': {`{}`, `{1, 2, 3}`, `{"a", "b", "c"}`, `{3, 1, 2}`, `{1.5, 2, -1}`, `{"x", 10, 2.5}`, `{5, 4, 3, 2, 1, 9, 8, 7, 6, 10, 15, 12, 11}`, `{"b", "a", "", "ab"}`, `{3, "x"}`, `{2^53, 2^53 + 1, 0.5}`},
	'w': {`{}`, `{1, 2, 3}`, `{1, {}, 3}`, `{"a", "b"}`, `setmetatable({}, {__len = function() return 3 end, __index = function(_, k) return k * 2 end})`, `setmetatable({1, 2}, {__index = function(_, k) return "d" .. k end})`},
	'o': {
		`"%d"`, `"%5d"`, `"%-5d|"`, `"%05d"`, `"%+d"`, `"% d"`, `"%.3d"`, `"%8.3d"`, `"%-8.3d|"`, `"%x"`, `"%X"`, `"%#x"`, `"%#o"`, `"%o"`, `"%i"`, `"%u"`, `"%c"`, `"%5c"`, `"%-5c|"`, `"%e"`, `"%.0e"`, `"%#.0e"`, `"%E"`,
		`"%f"`, `"%.0f"`, `"%#.0f"`, `"%10.2f"`, `"%-10.2f|"`, `"%010.2f"`, `"%+.3f"`, `"% f"`, `"%g"`, `"%.3g"`, `"%#g"`, `"%#.3g"`, `"%G"`, `"%.17g"`, `"%.14g"`, `"%a"`, `"%A"`, `"%.3a"`, `"%.0a"`, `"%#.0a"`, `"%20a"`, `"%020a"`, `"%.20a"`,
		`"%s"`, `"%10s"`, `"%-10s|"`, `"%.2s"`, `"%5.1s"`, `"%q"`, `"%%"`, `"%5%"`, `"%"`, `"%y"`, `"%5"`, `"%123d"`, `"%.123f"`, `"%#d"`, `"%5q"`, `"%05s"`, `"%F"`, `"%.f"`, `"%.0d"`, `"%#.0x"`, `"%00005d"`, `"%-05d|"`, `"%+5.1e"`, `"x%dy%sz"`, `"%099d"`,
		`"%99.99f"`, `"%.99f"`, `"%-+ #0d"`, `"%n"`, `"%l"`, `"%.5.5d"`, `"%1$d"`, `"%#a"`, `"%+a"`, `"%.1a"`, `"%.13a"`, `"%#.3o"`, `"%.3x"`, `"%05x"`, `"%-#8x|"`, `"%.50g"`, `"%.60f"`, `"%#.1g"`, `"%.1g"`, `"%.0g"`, `"%#.0g"`, `"%-----5d|"`,
	},
	'k': {
		`"i4"`, `"b"`, `"B"`, `"h"`, `"H"`, `"l"`, `"L"`, `"j"`, `"J"`, `"T"`, `"f"`, `"d"`, `"n"`, `"i3"`, `"I3"`, `">i4"`, `"<i4"`, `"=i4"`, `"!4 i1 i4"`, `"!i1 i8"`, `"!2 i1 i8"`, `"z"`, `"s"`, `"s1"`, `"s2"`, `"c5"`, `"c0"`, `"c"`, `"x"`, `"xx"`, `"Xi4"`,
		`"!8 i1 Xi8 i1"`, `"X"`, `"Xz"`, `"Xc1"`, `"i16"`, `"I16"`, `">i16"`, `"i17"`, `"i0"`, `"y"`, `"!3 i8"`, `"!17"`, `" i 4"`, `"i9"`, `"!16 i16"`, `"!i3"`, `"c10"`, `">I2 s1"`, `"b b b"`, `"i4 i4"`, `"z z"`, `"<d >d"`, `"c2000"`, `""`, `"X i4"`, `"!4 X<i4"`, `">!8 b Xd d"`, `"i 16"`,
	},
	'd': {
		`"%Y-%m-%d %H:%M:%S"`, `"%c"`, `"%x %X %p %r %R %T %D %F"`, `"%a %A %b %B %d %e %h"`, `"%j %U %V %W %G %g %u %w"`, `"%y %C %I %M %n %t %%"`, `"%Ec %Ex %EX %Ey %EY"`, `"%Od %Oe %OH %OI %Om %OM %OS %Ou %OU %OV %Ow %OW %Oy"`, `"!%c %z %Z"`, `"%z"`, `"%Z"`, `"*t"`, `"!*t"`,
		`"%Q"`, `"%"`, `"%E"`, `"%Ez"`, `"%Od"`, `""`, `"%s"`, `"!"`, `"*tx"`, `"*x"`, `"%O"`,
	},
	'u': {`"häß"`, `"€uro"`, `"日本語"`, `"𝄞x"`, `"\u{7fffffff}"`, `"\u{d800}"`, `"\xff"`, `"a\x80"`, `"\xc0\x80"`, `"\xe4\xb8"`, `"abc"`, `""`, `"\u{200000}z"`, `"\xf4\x90\x80\x80"`},
	't': {`0`, `1`, `-1`, `86400`, `1e9`, `1234567890`, `951782400`, `-86400 * 365`, `4102444800`, `-62135596800`, `2^40`, `1e17`, `1e18`, `math.maxinteger`, `1.5`, `978307200`, `1230768000`, `1609459200`, `253402300799`, `253402300800`, `-62167219201`},
	'm': {
		`{year = 2000, month = 1, day = 1}`, `{year = 2024, month = 14, day = -3, hour = 30, min = -5, sec = 1000}`, `{year = 2000}`, `{year = "2001", month = "2", day = "3"}`, `{year = 2000, month = 1, day = 1.5}`, `{year = 2000, month = 1, day = "x"}`,
		`{year = 1e15, month = 1, day = 1}`, `{year = 1970, month = 1, day = 1, hour = 0}`, `{year = 2147485547, month = 12, day = 31}`, `{year = 2147485547, month = 13, day = 31}`, `{year = -2147481748, month = 1, day = 1}`, `{year = 2000, month = 12000, day = 1}`, `{year = 2000, month = 6, day = 1.0, isdst = false}`, `{year = 0, month = 0, day = 0}`, `{year = 2000, month = 1, day = 1, isdst = true}`, `{year = 2024, month = 7, day = 31, hour = 23, isdst = true}`, `{year = 2024, month = 7, day = 1, isdst = false}`, `{year = 2000, month = 1, day = 2147483648}`, `{year = 2000, month = -2147483647, day = 1, isdst = 5}`,
	},
	'b': {`true`, `false`, `nil`},
	'a': {`nil`, `true`, `{}`, `"x"`, `1`, `1.5`, `"5"`, `type`, `setmetatable({}, {__name = "My.Type"})`, `-1`, `0/0`},
}

// calls are functions with the kinds of their arguments; those behind a ? may be missing.
var calls = []string{
	"string.len s", "string.sub sn?n", "string.byte s?nn", "string.char ?nnn", "string.lower s", "string.upper s", "string.reverse s", "string.rep si?s",
	"string.find sp?nb", "string.match sp?n", "string.gsub spr?n", "string.find sp", "string.gsub spr", "string.match sp", "string.gsub spr",
	"string.format of", "string.format on", "string.format os", "string.format of", "string.format oa", "string.format off",
	"string.packsize k", "string.pack kn", "string.pack kf", "string.pack ks", "string.pack kns", "string.pack knnn", "string.packsize k", "string.unpack kz?n",
	"table.concat w?sii", "table.remove w?n", "table.insert wna", "table.insert la", "table.remove l", "table.remove li", "table.insert lia", "table.concat ls", "table.unpack l", "table.insert wa", "table.unpack w?ii", "table.pack aaa", "table.move wiii?w", "table.sort l",
	"math.abs f", "math.ceil f", "math.floor f", "math.fmod ff", "math.fmod nn", "math.modf f", "math.max f?fnf", "math.min f?nff", "math.sqrt f", "math.tointeger f",
	"math.tointeger s", "math.type f", "math.ult nn", "math.deg f", "math.rad f", "math.abs n", "math.floor n", "string.format '%s', f", "string.format '%s', s", "string.format '%5s', f",
	"M math.atan f?f", "M math.sin g", "M math.cos g", "M math.tan g", "M math.exp g", "M math.log f?f", "M math.asin g", "M math.acos g", "M math.log, gg",
	"utf8.char ?nnn", "utf8.codepoint u?iib", "utf8.len u?iib", "utf8.offset ui?i", "utf8.codes u?b", "os.date dt", "os.time m", "os.difftime tt", "G sp", "G sp?i", "U v?b", "S l", "TM m", "X nn?n",
	"L table.concat, l?sii", "L table.insert, la", "L table.insert, lia", "L table.remove, l?i", "L table.unpack, l?ii", "L table.move, liii?l", "L table.concat, w?sii", "L table.remove, w?i",
	"string.find TP", "string.match TP", "string.gsub TPr", "G TP", "string.find TPi", "string.gsub TPT", "string.format On", "string.format Of", "string.format Os", "string.format OF", "string.format ON",
	"string.pack KNNNNNN", "string.pack KTTTTTT", "string.pack KNTNTNT", "string.unpack KZ", "string.unpack KZi", "string.packsize K", "math.fmod FF", "math.fmod NN", "math.modf F", "math.tointeger F",
	"math.floor F", "math.ceil F", "math.sqrt F", "utf8.len Z", "utf8.codepoint Zii", "utf8.offset Zii", "math.type F", "string.format '%a', H", "string.format '%d', H", "string.format '%a', H", "math.tointeger H", "string.rep 'x', H", "math.floor H", "string.format '%s', F",
}

// kinds are arguments with those that others are made of.
func kinds() map[byte][]string {
	arguments := maps.Clone(arguments)
	arguments['i'] = []string{`0`, `1`, `-1`, `2`, `3`, `4`, `5`, `-2`, `-4`, `7`, `2.0`, `"2"`, `1.5`, `20`}
	arguments['g'] = []string{`0.5`, `-0.25`, `1`, `2`, `0.1`, `3.7`, `10`, `-1`, `0`, `1e-3`, `100.5`, `1e5`}
	arguments['v'] = slices.DeleteFunc(slices.Clone(arguments['u']), func(s string) bool { return s == `"a\x80"` }) // which is an error since Lua 5.4.5 only
	arguments['z'] = []string{`"\1\2\3\4\5\6\7\8\9\10\11\12\13\14\15\16\17\18\19\20\21\22\23\24"`, `("\255"):rep(24)`, `("\0"):rep(24)`, `"\3abc\0\5hello\0"`, `"abc"`, `""`, `"\255\255\255\255\255\255\255\255\0\0\0\0\0\0\0\0"`, `("\128"):rep(20)`, `("\200\0"):rep(12)`}
	return arguments
}

// Pieces of which patterns, texts and formats are made at random.
var (
	patternPieces = strings.Fields(`a b c . %a %d %s %w %p %( [ab] [^a] [a-c] [%w_] [%d-] []a] [^]] a* b+ c- .* .- .+ a? %a* [ab]- (a) (.*) (.-) (b+) () ( ) %1 %2 %b() %bab %f[a] %f[%W] ^ $ ` +
		`[ ] [^ % %f - * + ? [a- [%] x %x+ (a(b)c) (()a) %0 %z [%a-z] [a-%%] %S %D+ ((%w+)) "`)
	textPieces   = strings.Split(`a|b|c|aa|ab|ba|abc|(|)|()|1|2| |,|_|-|x|A|%|]|[`+"|\x00|\xff|\n", "|")
	formatPieces = strings.Split(`|-|+| |#|0|1|5|10|20|.|.0|.1|.3|.10|.20|99`, "|")
	formatVerbs  = strings.Split("d d i u c x X o a A e E f g G s q F y p %", " ")[:19]
	numberPieces = strings.Split(`1|0|12|9007199254740993|9223372036854775807|9223372036854775808|0x|0X|ff|.|.5|5.|e|E|e5|e-5|e+400|p|p4|p-1074|-|+| |\n|_|inf|nan|x|1.7976931348623159|4.9e-324|0.1|ABCDEF0123456789|7fffffffffffffff`, "|")
	packPieces   = strings.Split(`<|>|=|!|!1|!2|!4|!8|!16|b|B|h|H|l|L|j|J|T|i|I|i1|i2|i3|I5|i7|i8|I9|i16|f|d|n|s|s1|s2|s4|z|x|X|Xb|Xi4|Xd|c|c0|c3|c10| |y|i0|i17`, "|")
)

// joined are up to n pieces in a row.
func joined(r *rand.Rand, n int, pieces []string) string {
	var b strings.Builder
	for range 1 + r.IntN(n) {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

// quoted is a text as Lua reads it.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	b.WriteByte('"')
	return b.String()
}

func generate(r *rand.Rand) string {
	values := kinds()
	pick := func(kind byte) string {
		switch kind {
		case 'P':
			return quoted(joined(r, 8, patternPieces))
		case 'T':
			return quoted(joined(r, 14, textPieces))
		case 'O':
			return quoted("%" + joined(r, 4, formatPieces) + formatVerbs[r.IntN(len(formatVerbs))])
		case 'K':
			return quoted(joined(r, 6, packPieces))
		case 'Z':
			raw := make([]byte, r.IntN(40))
			for i := range raw {
				raw[i] = byte(r.Uint32()) >> (r.IntN(2) * 6)
			}
			return quoted(string(raw))
		case 'F':
			return fmt.Sprintf("0x%x.%xp%d", r.IntN(2), r.Uint64()>>(12+r.IntN(52)), r.IntN(120)-60)
		case 'H':
			return quoted(joined(r, 5, numberPieces))
		case 'N':
			return fmt.Sprintf("0x%x", r.Uint64()>>r.IntN(64))
		}
		if r.IntN(25) == 0 {
			kind = 'a'
		}
		of := values[kind]
		return of[r.IntN(len(of))]
	}
	var b strings.Builder
	for range 200 {
		of := calls[r.IntN(len(calls))]
		i := strings.LastIndexByte(of, ' ')
		name, kinds := of[:i], of[i+1:]
		must, may, _ := strings.Cut(kinds, "?")
		n := len(must) + r.IntN(len(may)+1)
		if r.IntN(60) == 0 && name != "os.time" && name != "os.date" {
			n = r.IntN(len(must) + 1)
		}
		var args []string
		for _, k := range []byte(must + may)[:n] {
			arg := pick(k)
			args = append(args, arg)
		}
		if name, what, ok := strings.Cut(name, " "); ok && len(args) > 0 {
			if name == "M" {
				fmt.Fprintf(&b, "C(function() return R(M(%s(%s))) end)\n", what, strings.Join(args, ", "))
				continue
			}
			fmt.Fprintf(&b, "C(function() return R(%s(%s%s)) end)\n", name, what, strings.Join(args, ", "))
		} else {
			fmt.Fprintf(&b, "C(function() return R(%s(%s)) end)\n", name, strings.Join(args, ", "))
		}
	}
	return b.String()
}

func TestGeneratedCallsGiveWhatTheyGiveInPUCLua(t *testing.T) {
	reference, failed := startPUC(t), 0
	for seed := *scriptSeed; seed < *scriptSeed+uint64(*scripts); seed++ {
		if !compare(t, reference, generate(rand.New(rand.NewPCG(seed, 0)))) {
			t.Errorf("seed %d", seed)
			if failed++; failed == 5 {
				t.Fatal("that is enough")
			}
		}
	}
}
