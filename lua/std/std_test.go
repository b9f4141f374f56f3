package std_test

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/racetest"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/std"
	"github.com/skua-go/skua/lua/vm"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// eval runs a chunk and gives its results as tostring shows them, or its error.
func eval(t *testing.T, source string) string {
	t.Helper()
	s := machine(t, 2*time.Minute).Main()
	if err := s.Load("=test", "local r = table.pack(pcall(function() "+source+"\nend)) for i = 1, r.n do r[i] = tostring(r[i]) end return table.concat(r, \" \", r[1] == 'true' and 2 or 1)"); err != nil {
		return err.Error()
	}
	s.Call(0, 1)
	text, _ := s.String(-1)
	return text
}

func TestFloatsAreShownAsPUCLuaShowsThem(t *testing.T) {
	for f, want := range map[float64]string{
		1: "1.0", -2.5: "-2.5", 0.1: "0.1", 0.1 + 0.2: "0.3", 1e14: "1e+14", 99999999999999: "99999999999999.0", 1e15: "1e+15", 1e100: "1e+100", 123456789012345: "1.2345678901234e+14",
		math.Inf(1): "inf", math.Inf(-1): "-inf", math.Copysign(0, -1): "-0.0", 5e-324: "4.9406564584125e-324", 1 << 53: "9.007199254741e+15", 3.14159265358979: "3.1415926535898",
		1e-5: "1e-05",
	} {
		if got := std.Float(f); got != want {
			t.Errorf("%g: %s, want %s", f, got, want)
		}
	}
	if nan, negative := std.Float(math.NaN()), std.Float(math.Copysign(math.NaN(), -1)); nan != "nan" || negative != "-nan" {
		t.Error(nan, negative)
	}
}

func TestOpenPutsTheLibrariesOverThoseOfTheEngine(t *testing.T) {
	m := lua54.Engine{}.New(vm.Options{})
	defer m.Close()
	s := m.Main()
	s.PushString("below")
	s.PushNil()
	s.SetGlobal("utf8")
	std.Open(s, std.Options{})
	if s.Top() != 1 || s.Text(1) != "below" {
		t.Errorf("%d values on the stack", s.Top())
	}
	if err := s.Load("=open", `assert(("x").rep == string.rep and utf8.charpattern and math.maxinteger == 0x7fffffffffffffff and math.pi > 3.14)
assert(os.time and os.clock and not os.getenv and not os.exit and not string.dump)
math.randomseed(42) assert(math.random(1, 100) == 50)`); err != nil {
		t.Fatal(err)
	}
	s.Call(0, 0)
}

func TestFilesAreRemovedAndRenamedWithCsErrors(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("SKUA_STD_TEST", "set")
	source := fmt.Sprintf(`local dir = %q
local name = os.tmpname()
assert(os.rename(name, dir .. "/a") and os.rename(dir .. "/a", dir .. "/b"))
local r = table.pack(os.remove(dir .. "/a"))
assert(r.n == 3 and r[1] == nil and r[2] == dir .. "/a: No such file or directory" and r[3] == 2, r[2])
r = table.pack(os.rename(dir .. "/a", dir .. "/c"))
assert(r.n == 3 and r[1] == nil and r[2] == "No such file or directory" and r[3] == 2, r[2])
r = table.pack(os.remove(dir))
assert(r[1] == nil and r[2] == dir .. ": Directory not empty", r[2])
assert(os.remove(dir .. "/b") == true)
assert(os.getenv("SKUA_STD_TEST") == "set" and os.getenv("SKUA_STD_TEST_UNSET") == nil)
return "fine"`, dir)
	if got := eval(t, source); got != "fine" {
		t.Error(got)
	}
}

func TestStringsAreReadAsNumbersAsLuaReadsThem(t *testing.T) {
	for text, want := range map[string]any{
		"10": 10, " \t-7\n": -7, "0x10": 16, "-0xA": -10, "0xffffffffffffffff": -1, "9223372036854775807": math.MaxInt64, "-9223372036854775808": math.MinInt64, "9223372036854775808": 0x1p63,
		"1e1": 10.0, ".5": 0.5, "5.": 5.0, "0x.8": 0.5, "0x1p4": 16.0, "0xA.8p1": 21.0, "1e400": math.Inf(1), "-0": 0, "+1": 1, "007": 7, "0x1P-1": 0.5,
		"": nil, " ": nil, "x": nil, "1 2": nil, "inf": nil, "nan": nil, "0x": nil, "1e": nil, "1_0": nil, "0x1_0": nil, "0x1_0.8": nil, "--1": nil, "- 1": nil, "1+1": nil, ".": nil, "e1": nil, "infinity": nil,
		"1\x00": nil, "0x.p1": nil, "0xg": nil, "१": nil,
	} {
		n, ok := std.ParseNumber(text)
		var got any
		switch {
		case ok && n.IsInt:
			got = int(n.I)
		case ok:
			got = n.F
		}
		if got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestWhatWouldExhaustTheNodeIsAnError(t *testing.T) {
	racetest.SetAside(t)
	for source, want := range map[string]string{
		`return #("x"):rep(1e10)`:       "resulting string too large",
		`return #("x"):rep(2^40, "yy")`: "resulting string too large",
		`local t, s = {}, ("x"):rep(1e6) for i = 1, 300 do t[i] = s end return #table.concat(t)`: "resulting string too large",
		`return #(("x"):rep(1e5)):gsub("x", ("y"):rep(1e5))`:                                     "resulting string too large",
		`return #(("x"):rep(1e5)):gsub("(.*)", ("%1"):rep(1e5))`:                                 "resulting string too large",
		`local s = ("x"):rep(1e8) return #string.format("%s%s%s", s, s, s)`:                      "resulting string too large",
		`return string.pack("c2000000000", "x")`:                                                 "resulting string too large",
		`return string.pack(("c200000000"):rep(2), "x", "x")`:                                    "resulting string too large",
		`return string.format("%1000000000d", 1)`:                                                "invalid conversion",
		`return select("#", table.unpack({}, 1, 1e9))`:                                           "too many results to unpack",
		`return table.unpack({}, math.mininteger, math.maxinteger)`:                              "too many results to unpack",
		`return (("x"):rep(1e7)):byte(1, -1)`:                                                    "string slice too long",
		`return utf8.codepoint(("x"):rep(1e7), 1, -1)`:                                           "string slice too long",
		`return string.unpack(("b"):rep(1e6), ("x"):rep(1e6))`:                                   "too many results",
		`return (("("):rep(100000)):find(("("):rep(100000))`:                                     "too many captures",
		`return (("a"):rep(1000)):find(("a?"):rep(1000))`:                                        "pattern too complex",
		`return table.sort(setmetatable({}, { __len = function() return 2^40 // 1 end }))`:       "array too big",
		`return table.move({}, 1, math.maxinteger, 2)`:                                           "destination wrap around",
		`return table.move({}, -1, math.maxinteger, 2)`:                                          "too many elements to move",
	} {
		if got := eval(t, source); !strings.Contains(got, want) {
			t.Errorf("%s\ngot %.300q, want %q", source, got, want)
		}
	}
}
