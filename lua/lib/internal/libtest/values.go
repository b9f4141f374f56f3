package libtest

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/lua/vm"
)

// Values says what RoundTrip may draw: what the format holds.
type Values struct {
	Text    bool // strings are UTF-8
	Root    bool // the whole value is a table with string keys
	IntKeys bool // keys of maps can be integers
	NoZero  bool // no string begins with a zero byte
}

// Codec loads a module in s and returns its encode, which takes n values from the top, and its decode, which pushes what it returns. They panic on an error.
func Codec(s vm.State, modules Modules, name string) (encode func(n int) string, decode func(string)) {
	Install(s, modules)
	s.Global("require")
	s.PushString(name)
	s.Call(1, 1)
	s.Field(1, "encode")
	e := s.Ref()
	s.Field(1, "decode")
	d := s.Ref()
	s.SetTop(0)
	encode = func(n int) string {
		s.Push(e)
		s.Insert(s.Top() - n)
		s.Call(n, 1)
		text, _ := s.String(-1)
		s.Pop(1)
		return text
	}
	decode = func(text string) {
		s.Push(d)
		s.PushString(text)
		s.Call(1, 1)
	}
	return encode, decode
}

// RoundTrip draws values and checks that decode gives back what encode was given, on each engine.
func RoundTrip(t *testing.T, modules Modules, name string, v Values) {
	t.Helper()
	for _, e := range Engines() {
		t.Run(e.Name, func(t *testing.T) {
			s := e.New()
			encode, decode := Codec(s, modules, name)
			rapid.Check(t, func(t *rapid.T) {
				s.SetTop(0)
				if v.Root {
					v.table(t, s, e.Exact, 3, true)
				} else {
					v.push(t, s, e.Exact, 4)
				}
				s.Copy(-1)
				decode(encode(1))
				if err := Same(s, 1, 2); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

func (v Values) text(t *rapid.T) string {
	if v.Text {
		text := rapid.String().Draw(t, "text")
		if v.NoZero {
			text = strings.TrimLeft(text, "\x00")
		}
		return text
	}
	return string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
}

func whole(t *rapid.T, exact bool) int64 {
	n := rapid.OneOf(rapid.Int64(), rapid.Int64Range(-300, 300), rapid.Int64Range(-1<<33, 1<<33)).Draw(t, "int")
	if !exact {
		n %= 1 << 53
	}
	return n
}

// push pushes a drawn value.
func (v Values) push(t *rapid.T, s vm.State, exact bool, depth int) {
	kinds := 5
	if depth == 0 {
		kinds = 4
	}
	switch rapid.IntRange(0, kinds).Draw(t, "kind") {
	case 0:
		s.PushBool(rapid.Bool().Draw(t, "bool"))
	case 1:
		s.PushInt(whole(t, exact))
	case 2:
		s.PushFloat(rapid.Float64Range(-1e18, 1e18).Draw(t, "float") + 0.5)
	case 3, 4:
		s.PushString(v.text(t))
	default:
		v.table(t, s, exact, depth, rapid.Bool().Draw(t, "map"))
	}
}

func (v Values) table(t *rapid.T, s vm.State, exact bool, depth int, fields bool) {
	s.NewTable(0, 0)
	at := s.Top()
	for i := range rapid.IntRange(0, 5).Draw(t, "n") {
		switch {
		case !fields:
			s.PushInt(int64(i + 1))
		case v.IntKeys && rapid.Bool().Draw(t, "int key"):
			s.PushInt(-1 - int64(rapid.IntRange(0, 100).Draw(t, "key")))
		default:
			s.PushString("k" + v.key(t))
		}
		v.push(t, s, exact, depth-1)
		s.RawSet(at)
	}
}

// key is a text without zero bytes, which some formats can't have in names.
func (v Values) key(t *rapid.T) string {
	return rapid.StringMatching(`[a-zA-Z0-9 _\-äß]{0,6}`).Draw(t, "name")
}

// Same compares the values at indices i and j. Numbers are the same if they are equal and, on an engine with integers, of the same subtype, unless they
// are floats without a fraction.
func Same(s vm.State, i, j int) error {
	if s.Type(i) != s.Type(j) {
		return fmt.Errorf("a %s became a %s", s.Type(i), s.Type(j))
	}
	if s.Type(i) == vm.Number {
		a, _ := s.Float(i)
		b, _ := s.Float(j)
		n, isInt := s.Int(i)
		m, _ := s.Int(j)
		if a != b || isInt && n != m || s.IsInt(i) && !s.IsInt(j) {
			return fmt.Errorf("%s became %s", s.Text(i), s.Text(j))
		}
		return nil
	}
	if s.Type(i) != vm.Table {
		if !s.Equal(i, j) {
			return fmt.Errorf("%s became %s", s.Text(i), s.Text(j))
		}
		return nil
	}
	n := 0
	s.PushNil()
	for ; s.Next(i); n++ {
		top := s.Top()
		s.Copy(top - 1)
		s.RawGet(j)
		if err := Same(s, top, top+1); err != nil {
			return fmt.Errorf("[%s]: %w", s.Text(top-1), err)
		}
		s.SetTop(top - 1)
	}
	s.PushNil()
	for ; s.Next(j); n-- {
		s.Pop(1)
	}
	if n != 0 {
		return fmt.Errorf("%d entries too few", n)
	}
	return nil
}

// FuzzDecoder runs a function of a module on hostile text, on each engine: it returns or raises an error. What it returns, encode takes, if again is set.
func FuzzDecoder(f *testing.F, modules Modules, name, function string, again bool) {
	f.Helper()
	type row struct {
		s      vm.State
		decode int
		encode int
	}
	engines := Engines()
	rows := make([]row, 0, len(engines))
	for _, e := range engines {
		s := e.New()
		Install(s, modules)
		s.Global("require")
		s.PushString(name)
		s.Call(1, 1)
		s.Field(1, function)
		r := row{s: s, decode: s.Ref()}
		if again {
			s.Field(1, "encode")
			r.encode = s.Ref()
		}
		s.SetTop(0)
		rows = append(rows, r)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for _, r := range rows {
			r.s.SetTop(0)
			r.s.Push(r.decode)
			r.s.PushString(text)
			if r.s.PCall(1, 1) != nil || !again {
				continue
			}
			r.s.Push(r.encode)
			r.s.Insert(1)
			if err := r.s.PCall(1, 1); err != nil {
				if msg := r.s.Text(-1); !mayRefuse(msg) {
					t.Fatalf("%q was read but can't be written: %s", text, msg)
				}
			}
		}
	})
}

// Linear checks that a text ten times as long takes no more than some thirty times as long to decode and encode again.
func Linear(t *testing.T, modules Modules, name string, text func(n int) string) {
	t.Helper()
	s := Engines()[0].New()
	encode, decode := Codec(s, modules, name)
	took := func(n int) time.Duration {
		source, best := text(n), time.Hour
		for range 3 {
			s.SetTop(0)
			began := time.Now()
			decode(source)
			encode(1)
			best = min(best, time.Since(began))
		}
		return best
	}
	small, large := took(2_000), took(20_000)
	if large > 30*small+50*time.Millisecond {
		t.Fatalf("2,000 elements take %v, 20,000 take %v", small, large)
	}
}

// Bench encodes and decodes a table of 4 fields.
func Bench(b *testing.B, modules Modules, name string) {
	b.Helper()
	for _, e := range Engines() {
		b.Run(e.Name, func(b *testing.B) {
			s := e.New()
			encode, decode := Codec(s, modules, name)
			if err := s.Load("bench", `return { id = 1234567, name = "somebody", level = 42, online = true }`); err != nil {
				b.Fatal(err)
			}
			s.Call(0, 1)
			b.ReportAllocs()
			for b.Loop() {
				s.Copy(1)
				decode(encode(1))
				s.SetTop(1)
			}
		})
	}
}

// mayRefuse tells whether encode has a reason not to take what decode returned: keys and numbers that the format allows and scripts make otherwise.
func mayRefuse(msg string) bool {
	for _, reason := range []string{"sparse", "NaN", "longer than 64 MiB", "not UTF-8"} {
		if strings.Contains(msg, reason) {
			return true
		}
	}
	return false
}

// Memory checks that decode refuses a text and allocates no more than most bytes for it.
func Memory(t *testing.T, modules Modules, name, text string, most uint64) {
	t.Helper()
	s := Engines()[0].New()
	Install(s, modules)
	s.Global("require")
	s.PushString(name)
	s.Call(1, 1)
	s.Field(1, "decode")
	s.PushString(text)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if s.PCall(1, 1) == nil {
		t.Error("the text was read")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > most {
		t.Errorf("%d KiB took %d KiB", len(text)>>10, used>>10)
	}
}
