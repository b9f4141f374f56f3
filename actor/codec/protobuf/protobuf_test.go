package protobuf_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/codec/protobuf"
	"github.com/skua-go/skua/actor/value"
)

func format(t testing.TB) codec.Format {
	t.Helper()
	f, err := protobuf.New(protobuf.Config{
		Files: os.DirFS("testdata"), Names: []string{"all.proto", "old.proto"},
		Routes: map[string]protobuf.Types{
			"arena.move": {Request: "test.Move", Response: ".test.Pos"}, "all": {Request: "test.All", Push: "test.All"}, "old": {Request: "old.Item"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// google finds a message's descriptor, for the library's own messages.
func google(t testing.TB, file, name string) protoreflect.MessageDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"testdata"}})}
	files, err := c.Compile(context.Background(), file)
	if err != nil {
		t.Fatal(err)
	}
	d, ok := files.FindFileByPath(file).FindDescriptorByName(protoreflect.FullName(name)).(protoreflect.MessageDescriptor)
	if !ok {
		t.Fatal(name)
	}
	return d
}

func parse(t testing.TB, f codec.Format, route, text string) value.Value {
	t.Helper()
	data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	v, err := codec.Parse(f, route, codec.Request, data)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

func TestBodiesAreTheRoutesMessages(t *testing.T) {
	f := format(t)
	v := parse(t, f, "arena.move", "08 81 80 80 80 80 80 80 10 12 09 09 00 00 00 00 00 00 f8 3f 22 02 05 07")
	if want := `{id = 9007199254740993, name = "", path = {5, 7}, pos = {x = 1.5, y = 0}}`; v.String() != want {
		t.Errorf("got %s, want %s", v, want)
	}
	out, err := f.Append([]byte("x"), "arena.move", codec.Response, value.Of(map[string]any{"x": 1.5, "y": -2, "other": true}).At(0))
	if want := "78 09 000000000000f83f 11 00000000000000c0"; err != nil || hex.EncodeToString(out) != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got % x, %v, want %s", out, err, want)
	}
	if v := parse(t, f, "arena.move", ""); v.String() != `{id = 0, name = "", path = {}}` {
		t.Errorf("no bytes are %s", v)
	}
	if out, err := f.Append([]byte("x"), "arena.move", codec.Response, value.Value{}); err != nil || string(out) != "x" {
		t.Errorf("nil is % x, %v", out, err)
	}
}

func TestRoutesWithoutAMessageHaveNoBody(t *testing.T) {
	f := format(t)
	for _, c := range []struct {
		route string
		kind  codec.Kind
	}{{"arena.move", codec.Push}, {"nobody", codec.Request}, {"all", 9}} {
		if v, err := codec.Parse(f, c.route, c.kind, nil); err != nil || !v.IsNil() {
			t.Errorf("%s %s: %v, %v", c.kind, c.route, v, err)
		}
		if v, err := codec.Parse(f, c.route, c.kind, []byte{8, 1}); !errors.Is(err, protobuf.Err) || !strings.Contains(err.Error(), c.route) {
			t.Errorf("%s %s: %v, %v", c.kind, c.route, v, err)
		}
		if out, err := f.Append([]byte("x"), c.route, c.kind, value.Value{}); err != nil || string(out) != "x" {
			t.Errorf("%s %s: %q, %v", c.kind, c.route, out, err)
		}
		if out, err := f.Append([]byte("x"), c.route, c.kind, value.Of(1).At(0)); !errors.Is(err, protobuf.Err) || string(out) != "x" {
			t.Errorf("%s %s: %q, %v", c.kind, c.route, out, err)
		}
	}
}

func TestMistakesInTheConfigurationAreNamed(t *testing.T) {
	for want, cfg := range map[string]protobuf.Config{
		"none.proto":                 {Files: os.DirFS("testdata"), Names: []string{"none.proto"}},
		`"../x.proto" is not a name`: {Files: os.DirFS("testdata"), Names: []string{"../x.proto"}},
		`the push of route "r" is a "test.Nothing"`: {
			Files: os.DirFS("testdata"), Names: []string{"all.proto"}, Routes: map[string]protobuf.Types{"r": {Push: "test.Nothing"}},
		},
	} {
		if _, err := protobuf.New(cfg); !errors.Is(err, protobuf.ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
}

// The bytes are what protos.Error of Pitaya's protos/error.proto is: code = 1, msg = 2, metadata = 3.
func TestErrorsAreWhatPitayasClientsRead(t *testing.T) {
	f := format(t)
	got := f.AppendError([]byte("x"), codec.Error{Code: "PIT-404", Msg: "no", Metadata: map[string]string{"b": "", "a": "1"}})
	if want := "x\n\x07PIT-404\x12\x02no\x1a\x06\n\x01a\x12\x011\x1a\x03\n\x01b"; string(got) != want || f.Name() != "protobuf" {
		t.Errorf("%s: got %q, want %q", f.Name(), got, want)
	}
}

// tree is a message of the library as plain data, in the form that a value has.
func tree(m protoreflect.Message) any {
	all := map[string]any{}
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		name, v := string(f.Name()), m.Get(f)
		proto3 := m.Descriptor().ParentFile().Syntax() == protoreflect.Proto3
		switch {
		case f.IsMap():
			entries := map[string]any{}
			v.Map().Range(func(k protoreflect.MapKey, e protoreflect.Value) bool {
				entries[k.String()] = plain(f.MapValue(), e)
				return true
			})
			if proto3 || len(entries) > 0 {
				all[name] = entries
			}
		case f.IsList():
			var list []any
			for j := range v.List().Len() {
				list = append(list, plain(f, v.List().Get(j)))
			}
			if list != nil {
				all[name] = list
			} else if proto3 {
				all[name] = map[string]any{}
			}
		case !f.HasPresence() || m.Has(f):
			all[name] = plain(f, v)
		}
	}
	return all
}

func plain(f protoreflect.FieldDescriptor, v protoreflect.Value) any {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return tree(v.Message())
	case protoreflect.BytesKind:
		return string(v.Bytes())
	case protoreflect.EnumKind:
		if e := f.Enum().Values().ByNumber(v.Enum()); e != nil {
			return string(e.Name())
		}
		return int64(v.Enum())
	}
	switch x := v.Interface().(type) {
	case int32:
		return int64(x)
	case uint32:
		return int64(x)
	case uint64:
		return int64(x)
	case float32:
		return float64(x)
	default:
		return x
	}
}

// same compares trees, and takes what is not a number for itself.
func same(a, b any) bool { return fmt.Sprintf("%#v", a) == fmt.Sprintf("%#v", b) }

// unmarshal is the library's, which panics (1.36.12) when the key of a map's entry comes a second time with another wire type.
func unmarshal(d protoreflect.MessageDescriptor, data []byte) (m *dynamicpb.Message, err error, survived bool) { //nolint:revive // to compare
	defer func() {
		if p := recover(); p != nil && !strings.Contains(fmt.Sprint(p), "cannot convert nil to map key") {
			panic(p)
		}
	}()
	m = dynamicpb.NewMessage(d)
	err = proto.Unmarshal(data, m)
	return m, err, true
}

// agree holds the codec against Google's library: both take the same bytes, for the same values, and what the codec writes the library reads as the same
// message.
func agree(t testing.TB, f codec.Format, route string, d protoreflect.MessageDescriptor, data []byte) {
	t.Helper()
	theirs, theirErr, survived := unmarshal(d, data)
	v, err := codec.Parse(f, route, codec.Request, data)
	if err != nil && (strings.Contains(err.Error(), "nest deeper") || strings.Contains(err.Error(), "more than")) {
		return // bounds of ours
	}
	if !survived || theirErr != nil && strings.Contains(theirErr.Error(), "required field") {
		return // scripts see what is missing
	}
	if err != nil {
		if theirErr == nil {
			t.Fatalf("% x: %v, the library takes it", data, err)
		}
		return
	}
	if theirErr != nil { // something is broken that a later value replaces, which is not looked at: what is left has to be whole
		left, err := f.Append(nil, route, codec.Request, v)
		if err != nil {
			t.Fatalf("% x: %v", data, err)
		}
		if len(left) >= len(data) {
			t.Fatalf("% x: the library says %v, and all of it is left", data, theirErr)
		}
		agree(t, f, route, d, left)
		return
	}
	if got, want := v.Any(), tree(theirs); !same(got, want) {
		t.Fatalf("% x: got %#v, want %#v", data, got, want)
	}
	out, err := f.Append(nil, route, codec.Request, v)
	if err != nil {
		t.Fatalf("% x: %v", data, err)
	}
	again := dynamicpb.NewMessage(d)
	if err := proto.Unmarshal(out, again); err != nil || !same(tree(again), tree(theirs)) {
		t.Fatalf("% x became % x: %v", data, out, err)
	}
}

// draw makes a message with some of its fields.
func draw(t *rapid.T, d protoreflect.MessageDescriptor, depth int) protoreflect.Message {
	m := dynamicpb.NewMessage(d)
	for i := range d.Fields().Len() {
		f := d.Fields().Get(i)
		if !rapid.Bool().Draw(t, "set") || depth == 0 && f.Message() != nil {
			continue
		}
		switch n := rapid.IntRange(0, 3).Draw(t, "n"); {
		case f.IsMap():
			for range n {
				m.Mutable(f).Map().Set(drawOne(t, f.MapKey(), depth).MapKey(), drawOne(t, f.MapValue(), depth))
			}
		case f.IsList():
			for range n {
				m.Mutable(f).List().Append(drawOne(t, f, depth))
			}
		default:
			m.Set(f, drawOne(t, f, depth))
		}
	}
	return m
}

func drawOne(t *rapid.T, f protoreflect.FieldDescriptor, depth int) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.MessageKind, protoreflect.GroupKind:
		return protoreflect.ValueOfMessage(draw(t, f.Message(), depth-1))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.SampledFrom([]int32{0, 1, -3, 77, math.MinInt32}).Draw(t, "enum")))
	case protoreflect.Int32Kind, protoreflect.Sint32Kind, protoreflect.Sfixed32Kind:
		return protoreflect.ValueOfInt32(rapid.Int32().Draw(t, "int32"))
	case protoreflect.Uint32Kind, protoreflect.Fixed32Kind:
		return protoreflect.ValueOfUint32(rapid.Uint32().Draw(t, "uint32"))
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(rapid.Int64().Draw(t, "int64"))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rapid.Uint64().Draw(t, "uint64"))
	case protoreflect.FloatKind:
		return protoreflect.ValueOfFloat32(rapid.Float32().Draw(t, "float"))
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rapid.Float64().Draw(t, "double"))
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.ToValidUTF8(rapid.String().Draw(t, "string"), "?"))
	}
	return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
}

func TestAnyMessageIsWhatGooglesLibrarySays(t *testing.T) {
	f, d := format(t), google(t, "all.proto", "test.All")
	rapid.Check(t, func(rt *rapid.T) {
		data, err := proto.Marshal(draw(rt, d, 2).Interface())
		if err != nil {
			rt.Fatal(err)
		}
		// Two messages one behind the other are one, put together.
		more, err := proto.Marshal(draw(rt, d, 1).Interface())
		if err != nil {
			rt.Fatal(err)
		}
		agree(t, f, "all", d, data)
		agree(t, f, "all", d, append(data, more...))
	})
}

func TestOldFilesHaveNoDefaultsAndHaveGroups(t *testing.T) {
	f, d := format(t), google(t, "old.proto", "old.Item")
	for text, want := range map[string]string{
		"08 05":                            `{id = 5}`,
		"08 05 18 01 18 02 1a 02 03 04":    `{id = 5, loose = {1, 2, 3, 4}}`,
		"08 05 23 08 07 24":                `{box = {size = 7}, id = 5}`,
		"08 05 12 01 78 08 06":             `{id = 6, name = "x"}`,
		"08 05 23 08 07 24 23 24 9a 06 00": `{box = {size = 7}, id = 5}`,
	} {
		if got := parse(t, f, "old", text).String(); got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		agree(t, f, "old", d, data)
	}
	_, err := f.Append(nil, "old", codec.Request, value.Of(map[string]any{"name": "x"}).At(0))
	if err == nil || !strings.Contains(err.Error(), "old.Item.id: the field is required") {
		t.Error(err)
	}
}

func TestWhatDoesNotFitIsNamed(t *testing.T) {
	f := format(t)
	for want, v := range map[string]any{
		"test.All: a table is expected":                      5,
		"test.All.i32: 2147483648 is out of the range":       map[string]any{"i32": int64(1 << 31)},
		"test.All.u32: -1 is out of the range":               map[string]any{"u32": -1},
		"test.All.i64: an integer is expected":               map[string]any{"i64": 1.5},
		"test.All.s: a string is expected":                   map[string]any{"s": 1},
		"test.All.s: the string is not UTF-8":                map[string]any{"s": "\xff"},
		"test.All.b: a boolean is expected":                  map[string]any{"b": 1},
		"test.All.d: a number is expected":                   map[string]any{"d": "1"},
		`test.All.color: test.All.Color has no value "PINK"`: map[string]any{"color": "PINK"},
		"test.All.color: a name or a number":                 map[string]any{"color": 1.5},
		"test.All.all.many[2].s: a string is expected": map[string]any{
			"all": map[string]any{"many": []any{map[string]any{}, map[string]any{"s": 1}}},
		},
		"test.All.packed: a list is expected, got a table with":              map[string]any{"packed": map[string]any{"a": 1}},
		"test.All.by_name[x]: an integer is expected":                        map[string]any{"by_name": map[string]any{"x": true}},
		"test.All.by_number: a key: an integer is expected":                  map[string]any{"by_number": map[string]any{"x": map[string]any{}}},
		"only one field of a oneof can be set":                               map[string]any{"text": "a", "count": 1},
		"test.All.u64: an integer is expected, got \"18446744073709551616\"": map[string]any{"u64": "18446744073709551616"},
	} {
		out, err := f.Append([]byte("x"), "all", codec.Push, value.Of(v).At(0))
		if !errors.Is(err, protobuf.Err) || !strings.Contains(err.Error(), want) || string(out) != "x" {
			t.Errorf("%v, want it to say %q", err, want)
		}
	}
	out, err := f.Append(nil, "all", codec.Push, value.Of(map[string]any{"u64": "18446744073709551615", "i64": "-5"}).At(0))
	if err != nil {
		t.Fatal(err)
	}
	v, err := codec.Parse(f, "all", codec.Request, out)
	if err != nil || v.Get("u64").String() != "-1" || v.Get("i64").String() != "-5" {
		t.Errorf("%v, %v", v, err)
	}
	for text, want := range map[string]string{
		"3f": "the bytes are no message", "38 ff": "the bytes are no message",
		"72 05 61": "the bytes are no message", "72 01 ff": "test.All.s: the string is not UTF-8",
		"92 01 02 01 80": "test.All.packed[2]: the bytes", "8a 01 02 38 ff": "test.All.all: the bytes",
		"b2 01 03 0a 01 ff": "test.All.by_name: a key: the string is not UTF-8",
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := codec.Parse(f, "all", codec.Request, data); !errors.Is(err, protobuf.Err) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want it to say %q", text, err, want)
		}
	}
}

func TestHostileBodiesTakeBoundedMemory(t *testing.T) {
	const size = 64 << 10
	f := format(t)
	nested := []byte{}
	for len(nested) < size/2 {
		nested = append([]byte{0x8a, 0x01}, append(appendVarint(nil, len(nested)), nested...)...)
		if len(nested) > 4000 {
			break
		}
	}
	for name, data := range map[string][]byte{
		"empty messages with all defaults": bytes.Repeat([]byte{0xaa, 0x01, 0}, size/3),
		"a message in many pieces":         bytes.Repeat([]byte{0x8a, 0x01, 0}, size/3),
		"packed ones":                      append([]byte{0x92, 0x01, 0xfb, 0xff, 0x03}, bytes.Repeat([]byte{1}, 0xfffb)...),
		"nesting":                          nested,
		"entries of a map":                 bytes.Repeat([]byte{0xba, 0x01, 0}, size/3),
		"groups that nobody knows":         bytes.Repeat([]byte{0xfb, 0x3f}, size/2),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := codec.Parse(f, "all", codec.Request, data)
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 64<<20 { // MaxValues of 32 bytes, with what growing them copies
			t.Errorf("%s: %d bytes made us allocate %d, %v", name, len(data), took, err)
		} else {
			t.Logf("%s: %d bytes, %d allocated, %v", name, len(data), took, err)
		}
	}
}

func appendVarint(dst []byte, n int) []byte {
	for ; n >= 0x80; n >>= 7 {
		dst = append(dst, byte(n)|0x80)
	}
	return append(dst, byte(n))
}

func FuzzProtobuf(f *testing.F) {
	for _, text := range []string{
		"", "0801", "38ffffffffffffffffff01", "9201020102", "980101980102", "8a01038a0100",
		"b201050a01611005", "ba01020805", "d20103616263d80105", "e20100d80105e20102100a",
		"720161", "9301 9401",
		"f8ffffff0f01", "ca0101", "c80100", "6d0000c07f", "ea0103010005", "f201040802 1001", "c20104 0801 1200", "ba0104 1202 1001 ba01040805 1200",
	} {
		data, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	ours, d := format(f), google(f, "all.proto", "test.All")
	f.Fuzz(func(t *testing.T, data []byte) { agree(t, ours, "all", d, data) })
}

func BenchmarkAMoveBothWays(b *testing.B) {
	f := format(b)
	v := value.Of(map[string]any{"id": int64(1<<53 + 1), "name": "ann", "pos": map[string]any{"x": 12.5, "y": -3.0}, "path": []any{1, 2, 3}}).At(0)
	data, err := f.Append(nil, "arena.move", codec.Request, v)
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 256)
	var builder value.Builder
	b.ReportAllocs()
	for b.Loop() {
		if err := f.ParseTo(&builder, "arena.move", codec.Request, data); err != nil {
			b.Fatal(err)
		}
		if _, err := f.Append(buf, "arena.move", codec.Request, builder.Take().At(0)); err != nil {
			b.Fatal(err)
		}
	}
}
