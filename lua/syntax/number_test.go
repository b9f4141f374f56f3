package syntax_test

import (
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/syntax"
)

// number shows what Number makes of a text.
func number(text string) string {
	i, f, isInt, ok := syntax.Number(text)
	switch {
	case !ok:
		return "none"
	case isInt:
		return strconv.FormatInt(i, 10)
	}
	s := strconv.FormatFloat(f, 'g', -1, 64)
	if !strings.ContainsAny(s, ".eI") {
		s += ".0"
	}
	return s
}

// texts are strings that look like numbers, with what they are.
var texts = []struct{ text, want string }{
	{"", "none"},
	{" ", "none"},
	{"0", "0"},
	{"-0", "0"},
	{"-0.0", "-0.0"},
	{"007", "7"},
	{" \t\n\v\f\r10 \t\n\v\f\r", "10"},
	{"+5", "5"},
	{"-5", "-5"},
	{"--5", "none"},
	{"+-5", "none"},
	{"- 5", "none"},
	{"-", "none"},
	{"5 5", "none"},
	{"5x", "none"},
	{"\x005", "none"},
	{"5\x00", "none"},
	{"9223372036854775807", "9223372036854775807"},
	{"9223372036854775808", "9.223372036854776e+18"},
	{"-9223372036854775808", "-9223372036854775808"},
	{"-9223372036854775809", "-9.223372036854776e+18"},
	{"99999999999999999999", "1e+20"},
	{"000000000000000000000000000001", "1"},
	{"18446744073709551616", "1.8446744073709552e+19"},
	{"0x10", "16"},
	{"-0x10", "-16"},
	{"0X7fffffffffffffff", "9223372036854775807"},
	{"0x8000000000000000", "-9223372036854775808"},
	{"-0xffffffffffffffff", "1"},
	{"0x123456789abcdef01", "2541551405711093505"},
	{"0x", "none"},
	{"0xg", "none"},
	{"x10", "none"},
	{"0x 1", "none"},
	{"0x-1", "none"},
	{"1.5", "1.5"},
	{".5", "0.5"},
	{"5.", "5.0"},
	{".", "none"},
	{"-.5", "-0.5"},
	{"1..5", "none"},
	{"1.5.", "none"},
	{"1,5", "none"},
	{"1e5", "100000.0"},
	{"1E+5", "100000.0"},
	{"1e-5", "1e-05"},
	{"1e", "none"},
	{"1e+", "none"},
	{"e5", "none"},
	{".e5", "none"},
	{"1e5.0", "none"},
	{"1e 5", "none"},
	{"1e400", "+Inf"},
	{"-1e400", "-Inf"},
	{"1e-400", "0.0"},
	{"1e999999999999", "+Inf"},
	{"4.9e-324", "5e-324"},
	{"1e0x1", "none"},
	{"0x.8", "0.5"},
	{"0x8.", "8.0"},
	{"0xA.8p1", "21.0"},
	{"0x1p4", "16.0"},
	{"0x1P-4", "0.0625"},
	{"0x.", "none"},
	{"0x.p1", "none"},
	{"0x1p", "none"},
	{"0x1pa", "none"},
	{"0x1e5", "485"},
	{"0x1e+5", "none"},
	{"-0x1p-1", "-0.5"},
	{"0x1p99999", "+Inf"},
	{"0x1.fffffffffffff8p0", "2.0"},
	{"0x.00000000000000000001", "8.271806125530277e-25"},
	{"inf", "none"},
	{"nan", "none"},
	{"-inf", "none"},
	{"Infinity", "none"},
	{"NaN", "none"},
	{"0xinf", "none"},
	{"1_000", "none"},
	{"0x1_0", "none"},
	{"0b1", "none"},
	{"0o7", "none"},
	{"1f", "none"},
	{"1e5f", "none"},
	{"1p5", "none"},
	{"\u00a01", "none"},
	{"1\u2003", "none"},
	{"\u0661", "none"},
}

func TestStringsConvertToNumbersAsInLua(t *testing.T) {
	for _, c := range texts {
		if got := number(c.text); got != c.want {
			t.Errorf("%q is %s, want %s", c.text, got, c.want)
		}
	}
}

// sameNumber tells whether PUC Lua's answer is what Number says.
func sameNumber(t *testing.T, text, puc string) bool {
	t.Helper()
	i, f, isInt, ok := syntax.Number(text)
	switch {
	case !ok || puc == "none":
		return !ok && puc == "none"
	case isInt:
		return puc == strconv.FormatInt(i, 10)
	case strings.HasSuffix(puc, "inf"):
		return math.IsInf(f, 0) && strings.HasPrefix(puc, "-") == (f < 0)
	}
	want, err := strconv.ParseFloat(puc, 64)
	if err != nil {
		t.Fatalf("PUC Lua says %q: %v", puc, err)
	}
	return math.Float64bits(want) == math.Float64bits(f) && strings.Contains(puc, "p")
}

func TestNumbersAreThoseOfPUCLua(t *testing.T) {
	p := startPUC(t)
	check := func(text string) {
		if puc := p.ask(t, 'n', text); !sameNumber(t, text, puc) {
			t.Errorf("%q is %s, PUC Lua says %s", text, number(text), puc)
		}
	}
	for _, c := range texts {
		check(c.text)
	}
	r := rand.New(rand.NewPCG(1, 2))
	pieces := []string{"0x", "0X", "-", "+", ".", "e", "E", "p", "P", " ", "\t", "a", "F", "n", "9", "0", "1", "12", "305", "9223372036854775807", "00000", "ffffffff", "x"}
	for range 20000 {
		text := ""
		for range 1 + r.IntN(6) {
			text += pieces[r.IntN(len(pieces))]
		}
		check(text)
	}
}

func TestALongNumeralTakesLinearTime(t *testing.T) {
	long := strings.Repeat("7", 1<<20)
	for _, text := range []string{long, "0x" + long, "0x." + long, "." + long, "1e" + long, long + "." + long, strings.Repeat("0", 1<<20) + "1"} {
		if _, _, _, ok := syntax.Number(text); !ok {
			t.Errorf("%.10s... is no number", text)
		}
	}
}
