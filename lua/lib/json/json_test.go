package json_test

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/skua-go/skua/lua/lib/internal/libtest"
	"github.com/skua-go/skua/lua/lib/json"
)

func modules() libtest.Modules {
	return libtest.Modules{"cjson": json.Open, "cjson.safe": json.OpenSafe, "json": json.OpenAlias}
}

func TestScriptsFindCJSONAsTheyKnowIt(t *testing.T) { libtest.Run(t, modules(), "testdata/cjson.lua") }

func TestWhatIsEncodedReadsBack(t *testing.T) {
	libtest.RoundTrip(t, modules(), "cjson", libtest.Values{Text: true})
}

func TestNumbersReadBackAsTheyWere(t *testing.T) {
	s := libtest.Engines()[0].New()
	encode, decode := libtest.Codec(s, modules(), "cjson")
	rapid.Check(t, func(t *rapid.T) {
		f := rapid.Float64Range(-math.MaxFloat64, math.MaxFloat64).Draw(t, "f")
		s.PushFloat(f)
		text := encode(1)
		if want, err := strconv.ParseFloat(text, 64); err != nil || want != f {
			t.Fatalf("%v became %s", f, text)
		}
		decode(text)
		if got, _ := s.Float(-1); got != f {
			t.Fatalf("%v became %v", f, got)
		}
		s.SetTop(0)
	})
}

func FuzzDecode(f *testing.F) {
	for _, text := range []string{`{"a":[1,2.5,null,true,"x"]}`, `[9223372036854775808]`, `"\ud800"`, `-0`, `1e999`, `[[[[`, "{\"\xff\":1}", `{"a":1,"a":{}}`} {
		f.Add(text)
	}
	libtest.FuzzDecoder(f, modules(), "cjson", "decode", true)
}

func TestDecodeTakesLinearTime(t *testing.T) {
	libtest.Linear(t, modules(), "cjson", func(n int) string {
		return "[" + strings.Repeat(`{"id":1,"s":"some text","list":[1,2,3]},`, n) + "0]"
	})
}

func BenchmarkEncodeAndDecodeATableOf4Fields(b *testing.B) { libtest.Bench(b, modules(), "cjson") }
