package codec_test

import (
	"testing"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

// small is the body of a request as games send them, of 64 bytes.
const small = `{"id":9007199254740993,"x":12.5,"y":-3,"name":"ann","ok":true}  `

func BenchmarkParseJSONOf64Bytes(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.ParseJSON([]byte(small)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSONOf64Bytes(b *testing.B) {
	v, err := codec.ParseJSON([]byte(small))
	if err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := codec.AppendJSON(buf, v); err != nil {
			b.Fatal(err)
		}
	}
}

// What a session does with a body: route, body and session in one list, in a Builder that is used over and over.
func BenchmarkParseJSONIntoTheArgumentsOfAHandler(b *testing.B) {
	var builder value.Builder
	data := []byte(small)
	b.ReportAllocs()
	for b.Loop() {
		builder.String("echo")
		if err := codec.ParseJSONTo(&builder, data); err != nil {
			b.Fatal(err)
		}
		builder.Int(7)
		if builder.Take().Len() != 3 {
			b.Fatal("not three values")
		}
	}
}
