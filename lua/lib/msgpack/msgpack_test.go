package msgpack_test

import (
	"strings"
	"testing"

	"github.com/tinylib/msgp/msgp"

	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/lib/msgpack"
)

func modules() libtest.Modules { return libtest.Modules{"msgpack": msgpack.Open} }

func TestScriptsFindMsgpackAsTheyKnowIt(t *testing.T) {
	libtest.Run(t, modules(), "testdata/msgpack.lua")
}

func TestWhatIsEncodedReadsBack(t *testing.T) {
	libtest.RoundTrip(t, modules(), "msgpack", libtest.Values{IntKeys: true})
}

func TestHostileHeadersTakeLittleMemory(t *testing.T) {
	const size = 1 << 20
	hostile := []byte(strings.Repeat("\xdd\x00\x0f\x00\x00", 100))
	for len(hostile) < size {
		hostile = append(hostile, 0xc0)
	}
	libtest.Memory(t, modules(), "msgpack", string(hostile), 40*size)
}

func FuzzDecode(f *testing.F) {
	for _, v := range []any{nil, 1 << 40, "text", []any{1, []any{2.5}}, map[string]any{"k": []byte("b")}} {
		data, err := msgp.AppendIntf(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	for _, text := range []string{"\xc7\x03\x05abc", "\xd6\xff\x00\x00\x00\x01", "\xdf\xff\xff\xff\xff", "\xc1", "\x81\xc0\x01"} {
		f.Add(text)
	}
	libtest.FuzzDecoder(f, modules(), "msgpack", "decode", true)
}

func TestDecodeTakesLinearTime(t *testing.T) {
	one, err := msgp.AppendIntf(nil, map[string]any{"id": 1, "s": "some text", "list": []any{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	libtest.Linear(t, modules(), "msgpack", func(n int) string {
		return string(msgp.AppendArrayHeader(nil, uint32(n))) + strings.Repeat(string(one), n)
	})
}

func BenchmarkEncodeAndDecodeATableOf4Fields(b *testing.B) { libtest.Bench(b, modules(), "msgpack") }
