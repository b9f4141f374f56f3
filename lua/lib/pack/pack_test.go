package pack_test

import (
	"bytes"
	"errors"
	"runtime"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/lib/pack"
	"github.com/skua-go/skua/lua/vm"
)

func modules() libtest.Modules {
	return libtest.Modules{"pack": func(s vm.State) {
		pack.Open(s, pack.Lists{Take: lua.TakeList, Push: lua.PushList})
		s.Field(-1, "packstring")
		s.SetField(-2, "encode")
		s.Field(-1, "unpack")
		s.SetField(-2, "decode")
	}}
}

func TestScriptsPackAsInSkynet(t *testing.T) { libtest.Run(t, modules(), "testdata/pack.lua") }

func TestWhatIsPackedUnpacks(t *testing.T) {
	libtest.RoundTrip(t, modules(), "pack", libtest.Values{IntKeys: true})
}

func TestListsAreTheBytesThatScriptsMake(t *testing.T) {
	l := value.Of(nil, true, 7, -1<<40, 2.5, "text", strings.Repeat("long", 20), []any{1, []any{"x"}}, map[string]any{"k": map[string]any{}})
	data, err := pack.Append(nil, l)
	if err != nil || len(data) != pack.Size(l) {
		t.Fatal(err, len(data), pack.Size(l))
	}
	back, err := pack.Parse(data)
	if err != nil || back.Len() != l.Len() {
		t.Fatal(err, back.Len())
	}
	s := libtest.Engines()[0].New()
	n, err := pack.Decode(s, data)
	if err != nil || n != l.Len() {
		t.Fatal(err, n)
	}
	made, err := pack.Encode(s, 1)
	if err != nil || !bytes.Equal(made, data) {
		t.Fatalf("%x, %x, %v", made, data, err)
	}
	for i, v := range l.All {
		if v.String() != back.At(i).String() {
			t.Errorf("%v became %v", v, back.At(i))
		}
	}
}

func TestABrokenMessageIsAnError(t *testing.T) {
	data, err := pack.Append(nil, value.Of([]any{1, "abc"}, map[string]any{"k": 1.5}))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, len(data)-1).Draw(t, "length")
		if _, err := pack.Parse(data[:n]); n != 0 && n != 8 && !errors.Is(err, pack.ErrPack) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	})
}

// Tables that announce more than there is must not be given memory for it, also not when there are many in each other.
func TestHostileBytesTakeLittleMemory(t *testing.T) {
	hostile := make([]byte, 0, 1<<20)
	for range value.MaxDepth {
		hostile = append(hostile, 0xfe, 0x22, 0, 0, 0x0f, 0)
	}
	hostile = append(hostile, make([]byte, 1<<20-len(hostile))...)
	var before, after runtime.MemStats
	s := libtest.Engines()[0].New()
	runtime.ReadMemStats(&before)
	if _, err := pack.Decode(s, hostile); err == nil {
		t.Fatal("it was read")
	}
	if _, err := pack.Parse(hostile); err == nil {
		t.Fatal("it was read")
	}
	runtime.ReadMemStats(&after)
	if used := after.TotalAlloc - before.TotalAlloc; used > 40<<20 {
		t.Errorf("1 MiB took %d MiB", used>>20)
	}
}

func FuzzDecode(f *testing.F) {
	for _, l := range []value.List{value.Of(nil, true, 7, 2.5), value.Of("s", []any{1, []any{2}}), value.Of(map[string]any{"k": map[string]any{"x": -1 << 40}})} {
		data, err := pack.Append(nil, l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	libtest.FuzzDecoder(f, modules(), "pack", "decode", true)
}

// What Parse reads, Append writes, and Parse reads the same again.
func FuzzParse(f *testing.F) {
	f.Add([]byte("\x06\x0c\x61\x0a\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := pack.Parse(data)
		if err != nil {
			return
		}
		again, err := pack.Append(nil, l)
		if err != nil || len(again) != pack.Size(l) {
			t.Fatal(err)
		}
		if _, err := pack.Parse(again); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPackTakesLinearTime(t *testing.T) {
	libtest.Linear(t, modules(), "pack", func(n int) string {
		one, err := pack.Append(nil, value.Of(map[string]any{"id": 1, "list": []any{1, 2, 3}}))
		if err != nil {
			t.Fatal(err)
		}
		return string([]byte{0xfe, 0x22, byte(n), byte(n >> 8), 0, 0}) + strings.Repeat(string(one), n) + "\x00"
	})
}

func BenchmarkEncodeAndDecodeATableOf4Fields(b *testing.B) { libtest.Bench(b, modules(), "pack") }
