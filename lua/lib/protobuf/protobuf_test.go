package protobuf_test

import (
	"context"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/bufbuild/protocompile"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/dynamicpb"
	"pgregory.net/rapid"

	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/lib/protobuf"
	"github.com/skua-go/skua/lua/vm"
)

func modules() libtest.Modules {
	return libtest.Modules{"protobuf": protobuf.NewLibrary(os.DirFS("testdata")).Open}
}

// of is the module with an encode and a decode of one message.
func of(message string) libtest.Modules {
	return libtest.Modules{"protobuf": func(s vm.State) {
		modules()["protobuf"](s)
		s.Field(-1, "load_file")
		s.PushString("game.proto")
		s.Call(1, 0)
		for _, name := range []string{"encode", "decode"} {
			s.Field(-1, name)
			f := s.Ref()
			s.PushFunc(name, func(s vm.State) int {
				s.Push(f)
				s.PushString(message)
				s.Copy(1)
				s.Call(2, 1)
				return 1
			})
			s.SetField(-2, name)
		}
	}}
}

func descriptor(t testing.TB, message string) protoreflect.MessageDescriptor {
	t.Helper()
	c := protocompile.Compiler{Resolver: protocompile.WithStandardImports(&protocompile.SourceResolver{ImportPaths: []string{"testdata"}})}
	files, err := c.Compile(context.Background(), "game.proto")
	if err != nil {
		t.Fatal(err)
	}
	d, ok := files.FindFileByPath("game.proto").FindDescriptorByName(protoreflect.FullName(message)).(protoreflect.MessageDescriptor)
	if !ok {
		t.Fatal(message)
	}
	return d
}

func TestScriptsCodeByProtoFiles(t *testing.T) { libtest.Run(t, modules(), "testdata/protobuf.lua") }

// scalar draws a value of a kind.
func scalar(t *rapid.T, f protoreflect.FieldDescriptor) protoreflect.Value {
	switch f.Kind() {
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(rapid.Bool().Draw(t, "bool"))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rapid.Int32().Draw(t, "enum")))
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
		return protoreflect.ValueOfString(rapid.String().Draw(t, "string"))
	default:
		return protoreflect.ValueOfBytes(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
	}
}

// fill sets some fields of m.
func fill(t *rapid.T, m protoreflect.Message, depth int) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		f := fields.Get(i)
		if !rapid.Bool().Draw(t, string(f.Name())) || f.Message() != nil && depth == 0 {
			continue
		}
		value := func(f protoreflect.FieldDescriptor, fresh func() protoreflect.Value) protoreflect.Value {
			if f.Message() == nil {
				return scalar(t, f)
			}
			v := fresh()
			fill(t, v.Message(), depth-1)
			return v
		}
		n := rapid.IntRange(1, 3).Draw(t, "n")
		switch {
		case f.IsMap():
			for range n {
				entries := m.Mutable(f).Map()
				entries.Set(scalar(t, f.MapKey()).MapKey(), value(f.MapValue(), entries.NewValue))
			}
		case f.IsList():
			for range n {
				list := m.Mutable(f).List()
				list.Append(value(f, list.NewElement))
			}
		default:
			m.Set(f, value(f, func() protoreflect.Value { return m.NewField(f) }))
		}
	}
}

// What Google's library writes, scripts read, and what they write of that, it reads: the same message.
func TestMessagesGoThroughScriptsUnchanged(t *testing.T) {
	s := libtest.Engines()[0].New()
	encode, decode := libtest.Codec(s, of("game.All"), "protobuf")
	d := descriptor(t, "game.All")
	rapid.Check(t, func(t *rapid.T) {
		want := dynamicpb.NewMessage(d)
		fill(t, want, 2)
		data, err := proto.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		s.SetTop(0)
		decode(string(data))
		got := dynamicpb.NewMessage(d)
		if err := proto.Unmarshal([]byte(encode(1)), got); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(got, want) {
			t.Fatalf("%v\nbecame\n%v", want, got)
		}
	})
}

// Scripts refuse what Google's library refuses, and read what it reads.
func FuzzDecode(f *testing.F) {
	d := descriptor(f, "game.All")
	m := dynamicpb.NewMessage(d)
	m.Set(d.Fields().ByName("i64"), protoreflect.ValueOfInt64(math.MinInt64))
	m.Mutable(d.Fields().ByName("scores")).Map().Set(protoreflect.ValueOfString("k").MapKey(), protoreflect.ValueOfInt64(5))
	m.Mutable(d.Fields().ByName("item")).Message()
	data, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(data))
	for _, text := range []string{"\x08\xff", "\x92\x01\x03\x01\x02\x03", "\xb2\x01\x00", "\x0b\x0c", "\x8a\x01\x02\x1a\x00"} {
		f.Add(text)
	}
	type row struct {
		s      vm.State
		exact  bool
		decode int
	}
	engines := libtest.Engines()
	rows := make([]row, 0, len(engines))
	for _, e := range engines {
		s := e.New()
		of("game.All")["protobuf"](s)
		s.Field(-1, "decode")
		rows = append(rows, row{s, e.Exact, s.Ref()})
	}
	f.Fuzz(func(t *testing.T, text string) {
		want := proto.Unmarshal([]byte(text), dynamicpb.NewMessage(d))
		for _, r := range rows {
			r.s.SetTop(0)
			r.s.Push(r.decode)
			r.s.PushString(text)
			got := r.s.PCall(1, 1)
			if !r.exact && got != nil && strings.Contains(r.s.Text(-1), "beyond 2^53") || got != nil && strings.Contains(r.s.Text(-1), "nest deeper") {
				continue
			}
			if (got == nil) != (want == nil) {
				t.Fatalf("%x: %v, want %v", text, got, want)
			}
		}
	})
}

func TestDecodeTakesLinearTime(t *testing.T) {
	one := "\xaa\x01\x08\x08\x96\x01\x10\x05\x1a\x01"
	one = one[:len(one)-2] + "\x1a\x00"
	libtest.Linear(t, of("game.All"), "protobuf", func(n int) string { return strings.Repeat("\xaa\x01\x07"+one[3:10], n) })
}

func TestAMessageOfManyEmptyOnesIsRefused(t *testing.T) {
	libtest.Memory(t, of("game.Item"), "protobuf", strings.Repeat("\x1a\x00", 2<<20), 4<<30)
}

func TestTheSameFileIsCompiledOnceForAllVMs(t *testing.T) {
	files := fstest.MapFS{"a.proto": {Data: []byte(`syntax = "proto3"; import "b.proto"; message A { B b = 1; }`)}, "b.proto": {Data: []byte(`syntax = "proto3"; message B { int32 x = 1; }`)}}
	lib := protobuf.NewLibrary(files)
	load := func() vm.State {
		s := libtest.Engines()[0].New()
		lib.Open(s)
		s.Field(1, "load_file")
		s.PushString("a.proto")
		s.Call(1, 0)
		return s
	}
	fieldsOf := func(s vm.State) string {
		s.Field(1, "field")
		s.PushString("B")
		s.PushString("y")
		s.Call(2, 1)
		return s.Type(-1).String()
	}
	if got := fieldsOf(load()); got != "nil" {
		t.Error(got)
	}
	files["b.proto"] = &fstest.MapFile{Data: []byte(`syntax = "proto3"; message B { int32 y = 1; }`)}
	if got := fieldsOf(load()); got != "string" {
		t.Error("an imported file that has changed was not read again:", got)
	}
	allocated := testing.AllocsPerRun(3, func() { load() })
	if allocated > 3000 {
		t.Errorf("%v allocations to load a file that was compiled before", allocated)
	}
}

func BenchmarkEncodeAndDecodeATableOf4Fields(b *testing.B) {
	libtest.Bench(b, libtest.Modules{"protobuf": func(s vm.State) {
		modules()["protobuf"](s)
		s.Field(-1, "load")
		s.PushString(`syntax = "proto3"; message P { int64 id = 1; string name = 2; int32 level = 3; bool online = 4; }`)
		s.Call(1, 0)
		for _, name := range []string{"encode", "decode"} {
			s.Field(-1, name)
			f := s.Ref()
			s.PushFunc(name, func(s vm.State) int {
				s.Push(f)
				s.PushString("P")
				s.Copy(1)
				s.Call(2, 1)
				return 1
			})
			s.SetField(-2, name)
		}
	}}, "protobuf")
}

// A script can hand any text to load: it is compiled or an error.
func FuzzLoad(f *testing.F) {
	game, err := os.ReadFile("testdata/game.proto")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(game))
	for _, text := range []string{`syntax = "proto3"; message A { map<string, A> a = 1; }`, `syntax = "proto2"; extend A { optional int32 x = 5; }`, `edition = "2023"; message E { int32 a = 1; }`, "/*", `"\`} {
		f.Add(text)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		s := libtest.Engines()[0].New()
		modules()["protobuf"](s)
		s.Field(-1, "load")
		s.PushString(text)
		_ = s.PCall(1, 1)
	})
}
