package bson_test

import (
	"encoding/binary"
	"reflect"
	"strings"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/lua/lib/bson"
	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/vm"
)

func modules() libtest.Modules { return libtest.Modules{"bson": bson.Open} }

// asText is the module with an encode that returns a string.
func asText() libtest.Modules {
	return libtest.Modules{"bson": func(s vm.State) {
		bson.Open(s)
		s.Field(-1, "encode")
		encode := s.Ref()
		s.PushFunc("encode", func(s vm.State) int {
			s.Push(encode)
			s.Insert(1)
			s.Call(1, 1)
			s.PushString(s.Text(-1))
			return 1
		})
		s.SetField(-2, "encode")
	}}
}

func TestScriptsFindBSONAsInSkynet(t *testing.T) { libtest.Run(t, modules(), "testdata/bson.lua") }

func TestWhatIsEncodedReadsBack(t *testing.T) {
	libtest.RoundTrip(t, asText(), "bson", libtest.Values{Text: true, Root: true, NoZero: true})
}

func TestTheDriverReadsWhatScriptsWrite(t *testing.T) {
	s := libtest.Engines()[0].New()
	encode, _ := libtest.Codec(s, asText(), "bson")
	if err := s.Load("doc", `return { id = 9007199254740993, name = "somebody", list = { 1, "two", 3.5 }, sub = { on = true } }`); err != nil {
		t.Fatal(err)
	}
	s.Call(0, 1)
	var got driver.M
	if err := driver.Unmarshal([]byte(encode(1)), &got); err != nil {
		t.Fatal(err)
	}
	want := driver.M{"id": int64(9007199254740993), "name": "somebody", "list": driver.A{int32(1), "two", 3.5}, "sub": driver.D{{Key: "on", Value: true}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func document(t testing.TB, v any) string {
	t.Helper()
	data, err := driver.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// framed is the module with a decode that puts the length before a text and the zero byte behind it, so that fuzzing gets past those.
func framed() libtest.Modules {
	return libtest.Modules{"bson": func(s vm.State) {
		bson.Open(s)
		s.Field(-1, "decode")
		decode := s.Ref()
		s.PushFunc("decode", func(s vm.State) int {
			body, _ := s.String(1)
			s.Push(decode)
			s.PushString(string(binary.LittleEndian.AppendUint32(nil, uint32(len(body)+5))) + body + "\x00")
			s.Call(1, 1)
			return 1
		})
		s.SetField(-2, "decode")
	}}
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{
		driver.D{},
		driver.M{"a": int64(1) << 40, "b": driver.A{1.5, nil, "x"}, "c": driver.D{{Key: "d", Value: true}}},
		driver.M{"a": driver.NewObjectID(), "b": driver.Regex{Pattern: "a", Options: "i"}, "c": driver.Timestamp{T: 1, I: 2}, "d": driver.Binary{Subtype: 2, Data: []byte("x")}},
		driver.M{"a": driver.MinKey{}, "b": driver.JavaScript("f()"), "c": driver.CodeWithScope{Code: "g()", Scope: driver.D{}}, "d": driver.DateTime(5), "e": driver.Decimal128{}},
	} {
		doc := document(f, v)
		f.Add(doc[4 : len(doc)-1])
	}
	f.Add("\x07\x00")
	f.Add("\x04a\x00\x05\x00\x00\x00\x00")
	libtest.FuzzDecoder(f, framed(), "bson", "decode", true)
}

func TestDecodeTakesLinearTime(t *testing.T) {
	libtest.Linear(t, asText(), "bson", func(n int) string {
		list := make(driver.A, n)
		for i := range list {
			list[i] = driver.M{"id": 1, "s": "some text", "list": driver.A{1, 2, 3}}
		}
		return document(t, driver.M{"list": list})
	})
}

func TestHostileLengthsTakeLittleMemory(t *testing.T) {
	libtest.Memory(t, asText(), "bson", "\xff\xff\xff\x7f"+strings.Repeat("\x04a\x00\xff\xff\xff\x7f", 1000)+"\x00", 1<<20)
}

func BenchmarkEncodeAndDecodeATableOf4Fields(b *testing.B) { libtest.Bench(b, asText(), "bson") }
