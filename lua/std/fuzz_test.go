package std_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/std"
	"github.com/skua-go/skua/lua/vm"
)

// fuzz calls all functions of a chunk for at most some 300,000 steps; whatever is given to it, no panic may come out, and it may not take long.
func fuzz(t *testing.T, source string, args ...any) {
	e, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	left := 30
	m := e.New(vm.Options{Tick: func() error {
		if left--; left < 0 {
			return errors.New("enough")
		}
		return nil
	}})
	defer m.Close()
	std.Open(m.Main(), std.Options{})
	th := m.Main().NewThread()
	if err := th.Load("fuzz.lua", `
local function try(f, ...)
  local ok, e = pcall(f, ...)
  if not ok and (type(e) ~= "string" or e:find("runtime error", 1, true)) then error(e, 0) end
end
`+source); err != nil {
		t.Fatal(err)
	}
	for _, a := range args {
		switch a := a.(type) {
		case string:
			th.PushString(a)
		case int:
			th.PushFloat(float64(a))
		case float64:
			th.PushFloat(a)
		}
	}
	began := time.Now()
	if th.Resume(len(args)) == vm.Failed {
		if text := th.Text(-1); !strings.HasSuffix(text, "enough") {
			t.Error(text)
		}
	}
	if took := time.Since(began); took > patience {
		t.Errorf("it took %v", took)
	}
}

func FuzzPatterns(f *testing.F) {
	for _, p := range patternPieces {
		f.Add("abc (def) 12", p, "<%1>", 1)
	}
	f.Add("((a)(b)) c", "%b()", "%0", 2)
	f.Add("\xff\x00", "[%w-", "%", -1)
	f.Fuzz(func(t *testing.T, s, p, r string, n int) {
		fuzz(t, `local s, p, r, n = ...
try(string.find, s, p) try(string.find, s, p, n) try(string.match, s, p, n) try(string.gsub, s, p, r) try(string.gsub, s, p, r, n)
try(string.gsub, s, p, function(...) return ... end) try(string.gsub, s, p, { [s] = r })
try(function() for _ in s:gmatch(p, n) do end end)`, s, p, r, n)
	})
}

func FuzzFormats(f *testing.F) {
	for _, format := range arguments['o'] {
		f.Add(strings.Trim(format, `"`), "x", 42, 1.5)
	}
	f.Fuzz(func(t *testing.T, format, s string, n int, x float64) {
		fuzz(t, `local f, s, n, x = ...
try(string.format, f, s) try(string.format, f, n, n, n, n) try(string.format, f, x, x, x, x) try(string.format, f, s, n, x, s) try(string.format, f, {}, nil, true)
try(os.date, f, n) try(string.format, s, f)`, format, s, n, x)
	})
}

func FuzzPacks(f *testing.F) {
	for _, format := range arguments['k'] {
		f.Add(strings.Trim(format, `"`), "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11", 1)
	}
	f.Fuzz(func(t *testing.T, format, s string, n int) {
		fuzz(t, `local f, s, n = ...
try(string.packsize, f) try(string.unpack, f, s) try(string.unpack, f, s, n) try(string.pack, f, n, n, n, n, n) try(string.pack, f, s, s, s, s, s) try(string.pack, f, s, n, s, n, s)
try(utf8.len, s, n) try(utf8.len, s, 1, -1, true) try(utf8.codepoint, s, 1, -1) try(utf8.codepoint, s, n, n, true) try(utf8.offset, s, n) try(utf8.offset, s, n, n)
try(function() for _ in utf8.codes(s) do end end) try(function() for _ in utf8.codes(s, true) do end end)
try(string.sub, s, n, n) try(string.byte, s, n, -n) try(string.rep, s, n) try(string.rep, s, n % 1000, f) try(math.tointeger, s) try(math.floor, s) try(table.concat, { s, n, f }, f)`, format, s, n)
	})
}
