package store_test

import (
	"errors"
	"fmt"
	"math"
	"sort"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/services/store"
)

// exact writes a value so that what differs in a bit differs in the text: floats by their bits, the kinds of numbers apart.
func exact(v value.Value) string {
	switch v.Kind() {
	case value.Float:
		f, _ := v.Float()
		if math.IsNaN(f) {
			return "nan"
		}
		return fmt.Sprintf("f%x", math.Float64bits(f))
	case value.Table:
		var parts, fields []string
		for _, e := range v.Items {
			parts = append(parts, exact(e))
		}
		for k, e := range v.Pairs {
			fields = append(fields, fmt.Sprintf("%q=%s", k.KeyText(), exact(e)))
		}
		sort.Strings(fields)
		return "{" + strings.Join(append(parts, fields...), ",") + "}"
	}
	return v.Kind().String() + v.String()
}

func TestValuesComeBackAsTheyWere(t *testing.T) {
	for name, v := range map[string]any{
		"the smallest integer": int64(math.MinInt64),
		"the largest integer":  int64(math.MaxInt64),
		"2^53+1":               int64(1<<53 + 1),
		"a float that is one":  1.0,
		"-0":                   math.Copysign(0, -1),
		"infinity":             math.Inf(1),
		"-infinity":            math.Inf(-1),
		"NaN":                  math.NaN(),
		"the smallest float":   math.SmallestNonzeroFloat64,
		"an empty string":      "",
		"zero bytes":           "a\x00b\x00",
		"other scripts":        "日本 😀",
		"false":                false,
		"an empty table":       map[string]any{},
		"lists in lists":       []any{[]any{int64(1), []any{"x"}}, []any{2.5}},
		"a gap":                []any{int64(1), nil, int64(3)},
		"tables in a list":     []any{map[string]any{"a": int64(1)}, map[string]any{}},
	} {
		body, err := store.FromValue(value.Of(map[string]any{"v": v}).At(0))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := store.CheckBody("player", "42", body); err != nil {
			t.Errorf("%s makes a body that can't be kept: %v", name, err)
		}
		back, err := store.ToValue(body)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		want, got := exact(value.Of(map[string]any{"v": v}).At(0)), exact(back.At(0))
		if got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// nested is a table in a table, n levels in all.
func nested(n int) value.Value {
	var b value.Builder
	for range n - 1 {
		_ = b.Begin()
		b.Key("a")
	}
	_ = b.Begin()
	for range n {
		b.End()
	}
	return b.List().At(0)
}

func TestTablesAsDeepAsMessagesMayBeAreKept(t *testing.T) {
	v := nested(value.MaxDepth)
	body, err := store.FromValue(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.CheckBody("player", "42", body); err != nil {
		t.Fatal(err)
	}
	back, err := store.ToValue(body)
	if err != nil || exact(back.At(0)) != exact(v) {
		t.Fatalf("got %v, %v", back.At(0), err)
	}
}

// mixed has a list and a field.
func mixed() value.Value {
	var b value.Builder
	_ = b.Begin()
	b.Int(1)
	b.Key("x")
	b.Int(2)
	b.End()
	return b.List().At(0)
}

func keyed(key func(*value.Builder)) value.Value {
	var b value.Builder
	_ = b.Begin()
	key(&b)
	b.Int(1)
	b.End()
	return b.List().At(0)
}

func TestWhatADocumentCanNotHoldIsRefusedWithItsPath(t *testing.T) {
	in := func(v any) value.Value {
		return value.Of(map[string]any{"bag": map[string]any{"items": []any{int64(1), v}}}).At(0)
	}
	for name, c := range map[string]struct {
		v    value.Value
		want string
	}{
		"no table":        {value.Of(int64(7)).At(0), "a table with string keys is expected, got integer"},
		"nothing":         {value.Value{}, "a table with string keys is expected, got nil"},
		"a list":          {value.Of([]any{int64(1)}).At(0), "a table with string keys is expected, got a list"},
		"a mixed table":   {in(mixed()), "document.bag.items[2]: a table with a list of 1 and 1 other keys can't be kept; use two tables"},
		"bad text":        {in("a\xff"), "document.bag.items[2]: the string is not valid UTF-8"},
		"an integer key":  {in(keyed(func(b *value.Builder) { b.IntKey(7) })), "document.bag.items[2][7]: the key is of type integer; a document has string keys, a list has keys from 1 without gaps"},
		"a float key":     {in(keyed(func(b *value.Builder) { b.FloatKey(1.5) })), "document.bag.items[2][1.5]: the key is of type number; a document has string keys, a list has keys from 1 without gaps"},
		"a boolean key":   {in(keyed(func(b *value.Builder) { b.BoolKey(true) })), "document.bag.items[2][true]: the key is of type boolean; a document has string keys, a list has keys from 1 without gaps"},
		"an empty key":    {in(map[string]any{"": int64(1)}), `document.bag.items[2][""]: the key is empty`},
		"a key with a $":  {in(map[string]any{"$set": int64(1)}), "document.bag.items[2].$set: the key begins with $"},
		"a key with dots": {in(map[string]any{"a.b": int64(1)}), `document.bag.items[2]["a.b"]: the key has a dot`},
		// A key that ends early would make what follows it another value.
		"a key with a zero byte": {in(map[string]any{"a\x00b": int64(1)}), `document.bag.items[2]["a\x00b"]: the key has a zero byte`},
		"a key of bad text":      {in(map[string]any{"a\xff": int64(1)}), `document.bag.items[2]["a\xff"]: the key is not valid UTF-8`},
		"a long path":            {value.Of(map[string]any{strings.Repeat("k", 9999): "\xff"}).At(0), "document." + strings.Repeat("k", 40) + "…: the string is not valid UTF-8"},
	} {
		body, err := store.FromValue(c.v)
		if err == nil || err.Error() != c.want || body != nil {
			t.Errorf("%s: got %v\nwant %s", name, err, c.want)
		}
	}
}

func TestTypesThatScriptsDoNotHaveAreNamedWithTheirPath(t *testing.T) {
	for want, v := range map[string]any{
		"UTC datetime": bson.DateTime(1), "objectID": bson.ObjectID{1}, "binary": bson.Binary{Data: []byte("x")}, "128-bit decimal": bson.Decimal128{},
	} {
		body, err := bson.Marshal(bson.D{{Key: "a", Value: bson.A{int64(1), bson.D{{Key: "at", Value: v}}}}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = store.ToValue(body)
		if text := "document.a[2].at: a value of BSON type " + want + " can't be given to a script"; err == nil || err.Error() != text {
			t.Errorf("got %v\nwant %s", err, text)
		}
	}
}

func TestDocumentsNestedWithoutEndAreRefusedAndNotFollowed(t *testing.T) {
	const levels = 200_000 // 1.6 MB: some levels of a stack each would be much more
	body := []byte{5, 0, 0, 0, 0}
	whole := make([]byte, 0, 8*levels)
	for i := levels; i > 0; i-- {
		n := 5 + 8*i
		whole = append(whole, byte(n), byte(n>>8), byte(n>>16), byte(n>>24), 3, 'a', 0)
	}
	whole = append(whole, body...)
	whole = append(whole, make([]byte, levels)...)
	if _, err := store.ToValue(whole); !errors.Is(err, value.ErrDepth) || len(err.Error()) > 200 {
		t.Fatalf("got %v", err)
	}
}

func addSeeds(f *testing.F) {
	f.Helper()
	for _, d := range []bson.D{
		{},
		{{Key: "a", Value: int64(1)}, {Key: "b", Value: bson.A{1.5, "x\x00", nil, true, bson.D{{Key: "c", Value: int32(2)}}}}},
		{{Key: "n", Value: math.NaN()}, {Key: "z", Value: math.Copysign(0, -1)}, {Key: "e", Value: bson.A{}}},
		{{Key: "o", Value: bson.ObjectID{1}}, {Key: "j", Value: bson.CodeWithScope{Code: "x", Scope: bson.D{}}}},
		{{Key: "$a", Value: 1}, {Key: "a.b", Value: 1}, {Key: "a", Value: bson.A{bson.A{bson.D{}}}}},
	} {
		raw, err := bson.Marshal(d)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[:len(raw)*2/3])
	}
	f.Add([]byte{13, 0, 0, 0, 2, 'a', 0, 0xff, 0xff, 0xff, 0x7f, 0, 0})       // a string as long as the world
	f.Add([]byte{13, 0, 0, 0, 3, 'a', 0, 0xff, 0xff, 0xff, 0xff, 0, 0})       // a document of length -1
	f.Add([]byte{12, 0, 0, 0, 2, 'a', 0, 0, 0, 0, 0, 0})                      // a string without its zero byte
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 0})                                  // longer than it is
	f.Add([]byte{15, 0, 0, 0, 0x0f, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}) // code with scope, cut
}

// FuzzToValue: no bytes make it panic, and what a script got of a body that can be kept it can save again unchanged.
func FuzzToValue(f *testing.F) {
	addSeeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := store.ToValue(data)
		if err != nil {
			if len(err.Error()) > 8000 {
				t.Fatalf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		v := l.At(0)
		if l.Len() != 1 || v.Kind() != value.Table {
			t.Fatalf("got %d values, the first a %s", l.Len(), v.Kind())
		}
		again, err := store.FromValue(v)
		if err != nil {
			if store.CheckBody("player", "42", data) == nil {
				t.Fatalf("a body that can be kept came back as one that can't: %v", err)
			}
			return
		}
		back, err := store.ToValue(again)
		if err != nil || exact(back.At(0)) != exact(v) {
			t.Fatalf("got %v, %v\nwant %v", exact(back.At(0)), err, exact(v))
		}
	})
}
