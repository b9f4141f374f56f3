package codec_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"
	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

func unpack(t testing.TB, data []byte) value.Value {
	t.Helper()
	v, err := codec.Parse(codec.Msgpack{}, "r", codec.Request, data)
	if err != nil {
		t.Fatalf("% x: %v", data, err)
	}
	return v
}

func pack(t testing.TB, v value.Value) []byte {
	t.Helper()
	data, err := codec.Msgpack{}.Append(nil, "r", codec.Push, v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// The bytes are what @msgpack/msgpack 3.1.3, the JavaScript implementation of the msgpack project, makes of these values.
func TestMsgpackIsWhatJavaScriptClientsWriteAndRead(t *testing.T) {
	for text, want := range map[string]any{
		"c0": nil, "c3": true, "00": 0, "7f": 127, "cc80": 128, "ccff": 255, "cd0100": 256, "cdffff": 65535, "ce00010000": 65536, "ceffffffff": int64(1<<32 - 1),
		"cf7fffffffffffffff": int64(math.MaxInt64), "cf0020000000000001": int64(1<<53 + 1), "ff": -1, "e0": -32, "d0df": -33, "d080": -128, "d1ff7f": -129,
		"d18000": -32768, "d2ffff7fff": -32769, "d280000000": int64(math.MinInt32), "d38000000000000000": int64(math.MinInt64), "cb3ff8000000000000": 1.5,
		"a3616e6e": "ann", "d928" + strings.Repeat("c3a9", 20): strings.Repeat("é", 20), "c402ff00": "\xff\x00",
		"93019202a17880": []any{1, []any{2, "x"}, map[string]any{}},
	} {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		v := value.Of(want).At(0)
		if got := unpack(t, data); !reflect.DeepEqual(got.Any(), v.Any()) {
			t.Errorf("%s is %v, expected %v", text, got, v)
		}
		if got := hex.EncodeToString(pack(t, v)); got != text {
			t.Errorf("%v became %s, expected %s", v, got, text)
		}
	}
	data, err := hex.DecodeString("83a2696407a3706f7382a178cb3ff8000000000000a179fda47461677392a161a162")
	if err != nil {
		t.Fatal(err)
	}
	v := unpack(t, data)
	if want := `{id = 7, pos = {x = 1.5, y = -3}, tags = {"a", "b"}}`; v.String() != want || !bytes.Equal(pack(t, v), data) {
		t.Errorf("% x is %v, which is % x", data, v, pack(t, v))
	}
}

func TestKeysOfMsgpackKeepTheirTypes(t *testing.T) {
	data := []byte("\x85\x01\xa1a\xa11\xa1b\xc3\xa1c\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00\xa1d\xff\xa1e")
	if got, want := unpack(t, data).String(), `{-1 = "e", 1 = "a", 1 = "b", 1.5 = "d", true = "c"}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if again := pack(t, unpack(t, data)); !bytes.Equal(again, data) {
		t.Errorf("% x became % x", data, again)
	}
	var mixed value.Builder
	if err := mixed.Begin(); err != nil {
		t.Fatal(err)
	}
	mixed.String("first")
	mixed.Key("n")
	mixed.Int(1)
	mixed.End()
	if got := pack(t, mixed.List().At(0)); string(got) != "\x82\x01\xa5first\xa1n\x01" {
		t.Errorf("a table with both parts became %q", got)
	}
}

func TestMsgpackErrorsTellWhere(t *testing.T) {
	for data, want := range map[string]string{
		"\xc1":                                 "offset 0: no value begins with the byte 0xc1",
		"\x92\x01":                             "offset 2: the text ends",
		"\xdf\xff\xff\xff\xff":                 "offset 5: the text ends",
		"\xa5ab":                               "offset 0: the text ends",
		"\x01\x02":                             "offset 1: bytes behind the value",
		"\x92\x01\xd6\xff\x00\x00\x00":         "offset 2: extensions mean nothing",
		"\x91\xc7\x00\x05":                     "offset 1: extensions mean nothing",
		"\xcf\xff\xff\xff\xff\xff\xff\xff\xff": "offset 0: the integer 18446744073709551615 is beyond 2^63",
		"\x81\x90\x01":                         "offset 1: a key is of the type array",
		"\x81\xc0\x01":                         "offset 1: a key is of the type nil",
		"\x82\xa1a\x01\xa1a\x02":               "offset 4: duplicate key",
		"\x82\x01\x01\xcb\x3f\xf0\x00\x00\x00\x00\x00\x00": "offset 3: ",
		"\x81\xcb\x7f\xf8\x00\x00\x00\x00\x00\x01\x01":     "offset 1: a key is not a number",
		strings.Repeat("\x91", 100):                        "offset 64: value: tables nest deeper than 64",
	} {
		_, err := codec.Parse(codec.Msgpack{}, "r", codec.Request, []byte(data))
		if !errors.Is(err, codec.ErrMsgpack) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v, want it to say %q", data, err, want)
		}
	}
	if v, err := codec.Parse(codec.Msgpack{}, "r", codec.Request, nil); err != nil || !v.IsNil() {
		t.Errorf("no bytes: %v, %v", v, err)
	}
}

func TestAnyTreeSurvivesMsgpack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		tree := genTree(4).Draw(rt, "tree")
		data, err := codec.Msgpack{}.Append([]byte("x"), "", codec.Response, value.Of(tree).At(0))
		if err != nil {
			rt.Fatal(err)
		}
		v, err := codec.Parse(codec.Msgpack{}, "", codec.Request, data[1:])
		if err != nil {
			rt.Fatalf("% x: %v", data, err)
		}
		if got := v.Any(); !reflect.DeepEqual(got, tree) {
			rt.Fatalf("% x: got %#v, want %#v", data, got, tree)
		}
	})
}

func FuzzMsgpack(f *testing.F) {
	for _, v := range []any{nil, 1 << 40, -5, "text", 2.5, []any{1, []any{2.5}}, map[string]any{"k": []byte("b")}, strings.Repeat("long", 200)} {
		data, err := msgp.AppendIntf(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	for _, text := range []string{
		"\xc7\x03\x05abc", "\xd6\xff\x00\x00\x00\x01",
		"\xdf\xff\xff\xff\xff", "\xc1", "\x81\xc0\x01", "\xdd\x00\x0f\x00\x00\xc0", "\xca\x7f\xc0\x00\x00",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.Parse(codec.Msgpack{}, "r", codec.Request, data)
		if err != nil {
			if !errors.Is(err, codec.ErrMsgpack) {
				t.Fatal(err)
			}
			return
		}
		out := pack(t, v)
		if rest, err := msgp.Skip(out); err != nil || len(rest) > 0 {
			t.Fatalf("% x became % x, which is not MessagePack: %v", data, out, err)
		}
		if again := unpack(t, out); again.String() != v.String() {
			t.Fatalf("%v came back as %v", v, again)
		}
	})
}

func BenchmarkMsgpackOfASmallBodyBothWays(b *testing.B) {
	v, err := codec.ParseJSON([]byte(small))
	if err != nil {
		b.Fatal(err)
	}
	data := pack(b, v)
	buf := make([]byte, 0, 256)
	var builder value.Builder
	b.ReportAllocs()
	for b.Loop() {
		if err := (codec.Msgpack{}).ParseTo(&builder, "", codec.Request, data); err != nil {
			b.Fatal(err)
		}
		if _, err := (codec.Msgpack{}).Append(buf, "", codec.Response, builder.Take().At(0)); err != nil {
			b.Fatal(err)
		}
	}
}
