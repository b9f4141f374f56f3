package storetest

import (
	"bytes"
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func values() []testcase {
	return []testcase{
		{name: "ValuesComeBackExactly", run: func(e *env) { e.keep("values", common()) }},
		{name: "SpecialDoublesComeBackExactly", needs: SpecialDoubles, run: func(e *env) { e.keep("doubles", specialDoubles()) }},
		{name: "ArraysInArraysComeBackExactly", needs: NestedArrays, run: func(e *env) {
			e.keep("arrays", bson.D{{Key: "a", Value: bson.A{bson.A{}, bson.A{int32(1), bson.A{bson.A{"x"}}}}}})
		}},
		{name: "FieldNamedIDStaysInItsPlace", needs: IDField, run: func(e *env) {
			e.keepRaw("id", body(e, "a", 1, "_id", "a field like any other", "b", bson.D{{Key: "x", Value: 1}, {Key: "_id", Value: 2}}))
		}},
		{name: "RareTypesComeBackExactly", run: func(e *env) { e.keep("rare", rare()) }},
		{name: "MinAndMaxKeysComeBack", needs: MinMaxKeys, run: func(e *env) {
			e.keep("keys", bson.D{{Key: "min", Value: bson.MinKey{}}, {Key: "max", Value: bson.MaxKey{}}})
		}},
		{name: "Decimal128ComesBackExactly", needs: Decimal128, run: decimals},
		{name: "LargeBodyComesBack", run: func(e *env) { e.keepRaw("large", bulky(e, 4<<20)) }},
		{name: "LargestBodyComesBack", needs: Large, run: func(e *env) { e.keepRaw("largest", bulky(e, store.MaxBody)) }},
		{name: "NestedBodyComesBack", run: func(e *env) { e.keepRaw("nested", nested(32)) }},
		{name: "DeepestBodyComesBack", needs: Deep, run: func(e *env) { e.keepRaw("deepest", nested(store.MaxDepth)) }},
		{name: "EmptyBodyIsADocument", run: func(e *env) { e.keepRaw("empty", body(e)) }},
	}
}

func common() bson.D {
	return bson.D{
		{Key: "int64", Value: bson.A{int64(0), int64(1), int64(-1), int64(1)<<53 + 1, int64(math.MaxInt64), int64(math.MinInt64)}},
		{Key: "int32", Value: bson.A{int32(0), int32(math.MaxInt32), int32(math.MinInt32)}}, // stays an int32
		{Key: "double", Value: bson.A{0.5, 1.0, math.MaxFloat64, math.SmallestNonzeroFloat64, -1e-300}},
		{Key: "text", Value: bson.A{"", "höß", "日本語", "\x00inside", "$x.y", "a\nb\"c\\"}},
		{Key: "dates", Value: bson.A{bson.NewDateTimeFromTime(time.UnixMilli(1_700_000_000_123)), bson.DateTime(0), bson.DateTime(-1)}},
		{Key: "binary", Value: bson.A{bson.Binary{}, bson.Binary{Data: []byte{0, 255, 1}}, bson.Binary{Subtype: 4, Data: make([]byte, 16)}, bson.Binary{Subtype: 128, Data: []byte("x")}}},
		{Key: "objectid", Value: bson.ObjectID{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
		{Key: "bool", Value: bson.A{true, false}},
		{Key: "null", Value: nil},
		{Key: "nested", Value: bson.D{{Key: "a", Value: bson.A{bson.D{}, bson.D{{Key: "b", Value: bson.A{"c"}}}}}}},
		{Key: "order", Value: bson.D{{Key: "z", Value: int32(1)}, {Key: "a", Value: int32(2)}, {Key: "M", Value: int32(3)}}},
		{Key: "ver", Value: "so"},
		{Key: "epoch", Value: "are"},
		{Key: "body", Value: "these"},
		{Key: "日本", Value: "語"},
		{Key: "a b", Value: "space"},
		{Key: "a$", Value: "dollar"},
	}
}

func specialDoubles() bson.D {
	// The last one is a NaN that carries data.
	return bson.D{{Key: "d", Value: bson.A{math.NaN(), math.Inf(1), math.Inf(-1), math.Copysign(0, -1), math.Float64frombits(0x7ff8000000000123)}}}
}

func rare() bson.D {
	return bson.D{
		{Key: "regex", Value: bson.Regex{Pattern: "^a.*$", Options: "i"}},
		{Key: "timestamp", Value: bson.A{bson.Timestamp{}, bson.Timestamp{T: 7, I: 9}, bson.Timestamp{T: math.MaxUint32, I: math.MaxUint32}}},
		{Key: "binary", Value: bson.Binary{Subtype: 2, Data: []byte("old")}},
		{Key: "dates", Value: bson.A{bson.DateTime(math.MaxInt64), bson.DateTime(math.MinInt64)}},
	}
}

func decimals(e *env) {
	all := make(bson.A, 0, 8)
	for _, text := range []string{"0", "-0", "1.10", "-9.999999999999999999999999999999999E+6144", "1E-6176", "NaN", "Infinity", "-Infinity"} {
		d, err := bson.ParseDecimal128(text)
		if err != nil {
			e.Fatal(err)
		}
		all = append(all, d)
	}
	e.keep("decimal", bson.D{{Key: "d", Value: all}})
}

func (e *env) keep(prefix string, d bson.D) {
	e.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		e.Fatal(err)
	}
	e.keepRaw(prefix, raw)
}

// keepRaw writes a body, twice, and wants it back by both ways of reading, bit by bit.
func (e *env) keepRaw(prefix string, raw bson.Raw) {
	e.Helper()
	id := id(prefix)
	for version := range int64(2) {
		w := write(e, "player", id, version, version+1, 0)
		w.Body = raw
		e.must(w)
		doc, err := e.Load(context.Background(), "player", id)
		if err != nil {
			e.Fatal(err)
		}
		if !bytes.Equal(doc.Body, raw) {
			e.Fatal(firstDifference(doc.Body, raw))
		}
		if owned := e.claim("player", id); !bytes.Equal(owned.Body, raw) {
			e.Fatal(firstDifference(owned.Body, raw))
		}
	}
}

// firstDifference names the field, if there is one, so that a lost value is found among fifty.
func firstDifference(got, want bson.Raw) string {
	wanted, _ := want.Elements()
	for _, w := range wanted {
		if g := got.Lookup(w.Key()); !bytes.Equal(g.Value, w.Value().Value) || g.Type != w.Value().Type {
			return fmt.Sprintf("%s: got %.300s, want %.300s", w.Key(), g, w.Value())
		}
	}
	return fmt.Sprintf("got %d bytes, want %d, with the fields %v, want %v", len(got), len(want), keys(got), keys(want))
}

func keys(raw bson.Raw) (names []string) {
	elements, _ := raw.Elements()
	for _, e := range elements {
		names = append(names, e.Key())
	}
	return names
}

// bulky is a body of exactly size bytes that no compression shrinks.
func bulky(e *env, size int) bson.Raw {
	e.Helper()
	frame := len(body(e, "data", []byte{}))
	data := make([]byte, size-frame)
	random := rand.New(rand.NewPCG(1, uint64(size)))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	return body(e, "data", data)
}

// nested is a body of so many levels, its own included.
func nested(levels int) bson.Raw {
	raw := bson.Raw{5, 0, 0, 0, 0}
	for range levels - 1 {
		n := len(raw) + 8
		raw = append([]byte{byte(n), byte(n >> 8), byte(n >> 16), 0, byte(bson.TypeEmbeddedDocument), 'a', 0}, raw...)
		raw = append(raw, 0)
	}
	return raw
}
