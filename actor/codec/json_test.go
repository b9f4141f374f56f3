package codec_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/skua-go/skua/actor/codec"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/racetest"
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

// theirs parses JSON as the library of the tokens does.
func theirs(data []byte) (any, error) {
	d := jsontext.NewDecoder(bytes.NewBuffer(data))
	v, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, errors.New("bytes behind the value")
	}
	var tree any
	dec := json.NewDecoder(bytes.NewReader(v))
	dec.UseNumber()
	err = dec.Decode(&tree)
	return tree, err
}

// plain is a tree of theirs with our numbers.
func plain(tree any) any {
	switch v := tree.(type) {
	case json.Number:
		if n, err := strconv.ParseInt(v.String(), 10, 64); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	case []any:
		if len(v) == 0 { // a table without anything is an object
			return map[string]any{}
		}
		for i := range v {
			v[i] = plain(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
	}
	return tree
}

// FuzzParseJSONAgainstJSONText holds the parser against the library's.
func FuzzParseJSONAgainstJSONText(f *testing.F) {
	for _, s := range []string{
		small, `[1,2,]`, `{"a":1,}`, `[1 2]`, `{"a" 1}`, `{a:1}`, `01`, `-`, `-01`, `1.`, `.5`, `1e`, `1e+`, `-0`, `0.0`, `1E5`, `123456789012345678`,
		`1234567890123456789`, `9223372036854775807`, `9223372036854775808`, `-9223372036854775808`, `1e400`, `"\u00e9\ud83d\ude00"`, `"\ud83d"`,
		`"\ude00\ud83d"`, `"\ud83d\u0041"`, `"\ud83dx"`, `"\x"`, `"\u12g4"`, `"\u12`, `"a`, "\"\x01\"", "\"\xff\"", "\"\\n\xff\"",
		`"é"`, `"\\\/\b\f\n\r\t"`, `tru`, `truex`,
		`nul`, "\ufeff1", `{"a":1,"\u0061":2}`, `{"a":{"b":1},"b":2}`, ` [ { } , [ ] ] `, "\v1", `[[[[`, `{"":0}`, `"\ud83d\ude0"`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"a":2}`,
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":2}`,
		`{"long":"` + strings.Repeat("x", 600) + `","n":[1.5,"` + strings.Repeat("é", 10) + `"]}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := codec.ParseJSON(data)
		if len(bytes.Trim(data, " \t\r\n")) == 0 {
			if err != nil || !got.IsNil() {
				t.Fatalf("%q: %v, %v, expected nil", data, got, err)
			}
			return
		}
		want, theirErr := theirs(data)
		if err != nil && theirErr == nil && (strings.Contains(err.Error(), "deeper than 64") || strings.Contains(err.Error(), "out of range")) {
			return // bounds of ours
		}
		if (err == nil) != (theirErr == nil) {
			t.Fatalf("%q: %v, jsontext says %v", data, err, theirErr)
		}
		if err == nil && !reflect.DeepEqual(got.Any(), plain(want)) {
			t.Fatalf("%q: got %#v, want %#v", data, got.Any(), plain(want))
		}
	})
}

func TestAParserKeepsNothingOfABody(t *testing.T) {
	data := []byte(`{"name":"ann","tail":"` + strings.Repeat("x", 40) + `"}`)
	v, err := codec.ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	for i := range data {
		data[i] = '#'
	}
	if s, _ := v.Get("name").Str(); s != "ann" {
		t.Errorf("the name became %q when the bytes were written over", s)
	}
	if _, err := codec.ParseJSON([]byte(`["open",{"a":`)); err == nil {
		t.Fatal("half a text is a value")
	}
	if v, err := codec.ParseJSON([]byte(`{"a":1}`)); err != nil || v.String() != "{a = 1}" {
		t.Errorf("after an error: %v, %v", v, err)
	}
}

func TestSmallBodiesCostFewAllocations(t *testing.T) {
	racetest.SetAside(t) // a sync.Pool forgets at random with it
	data := []byte(small)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := codec.ParseJSON(data); err != nil {
			t.Fatal(err)
		}
	}); n > 2.5 { // the values, and one string for all of theirs
		t.Errorf("parsing: %v allocations", n)
	}
	v, err := codec.ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(200, func() {
		if _, err := codec.AppendJSON(buf, v); err != nil {
			t.Fatal(err)
		}
	}); n > 0.5 {
		t.Errorf("writing: %v allocations", n)
	}
}

func TestManyNamesTakeLinearTime(t *testing.T) {
	var b strings.Builder
	b.WriteString("{")
	for i := range 50_000 {
		fmt.Fprintf(&b, `"n%d":0,`, i)
	}
	for _, last := range []string{"n49999", "other"} {
		_, err := codec.ParseJSON([]byte(b.String() + `"` + last + `":1}`))
		if (err == nil) != (last == "other") {
			t.Errorf("%s: %v", last, err)
		}
	}
}
