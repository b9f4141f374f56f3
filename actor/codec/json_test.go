package codec_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
)

func TestJSONKeepsWhatAMessageSays(t *testing.T) {
	for _, text := range []string{
		`null`, `true`, `9223372036854775807`, `-9223372036854775808`, `1.5`, `2.0`, `1e+300`, `"a\"b\n\u2028"`,
		`[1,[2,3],{"x":null}]`, `{"a":{"b":[true,false]},"c":"d"}`, `{}`,
	} {
		v, err := codec.ParseJSON([]byte(text))
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		out, err := codec.AppendJSON(nil, v)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		again, err := codec.ParseJSON(out)
		if err != nil || again.String() != v.String() {
			t.Fatalf("%s became %s: %v", text, out, err)
		}
		if !strings.Contains(text, `\u`) && string(out) != text {
			t.Fatalf("%s became %s", text, out)
		}
	}
}

func TestJSONErrorsTellWhere(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":1,"a":2}`: "duplicate", `[1,2`: "offset", `[1] 2`: "behind the value", "\"\xff\"": "UTF-8", `1e999`: "out of range",
		strings.Repeat("[", 100) + strings.Repeat("]", 100): "deeper than 64",
	} {
		_, err := codec.ParseJSON([]byte(text))
		if !errors.Is(err, codec.ErrJSON) || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s: %v, want it to say %q", text, err, want)
		}
	}
	for want, v := range map[string]any{
		"value.a[2]: NaN is no number": map[string]any{"a": []any{1, math.NaN()}},
		"value.s: a string is not UTF": map[string]any{"s": "\xff"},
	} {
		if _, err := codec.AppendJSON(nil, value.Of(v).At(0)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want it to say %q", err, want)
		}
	}
}

func FuzzParseJSON(f *testing.F) {
	for _, s := range []string{`{"a":[1,2.5,"x",null,true]}`, `[`, `"\ud800"`, `{"a":{"a":{}}}`, `-0`, `1e5`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.ParseJSON(data)
		if err != nil || len(data) == 0 {
			return
		}
		out, err := codec.AppendJSON(nil, v)
		if err != nil {
			t.Fatalf("what was read can't be written: %v", err)
		}
		if !json.Valid(out) {
			t.Fatalf("not JSON: %s", out)
		}
		again, err := codec.ParseJSON(out)
		if err != nil || again.String() != v.String() {
			t.Fatalf("%s: %v", out, err)
		}
	})
}
