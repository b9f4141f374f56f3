package sqlite_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// values are what an index may hold, all kinds of borders among them.
func values(random *rand.Rand) []any {
	all := []any{
		nil, true, false, "", "a", "ab", "a\x00", "a\x00b", "a\x01", "ä", "日本", "\U0010ffff",
		int32(0), int32(-1), int32(math.MaxInt32), int64(0), int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64) - 1,
		0.0, math.Copysign(0, -1), math.NaN(), math.Inf(1), math.Inf(-1), math.MaxFloat64, math.SmallestNonzeroFloat64, -math.SmallestNonzeroFloat64,
		float64(1 << 53), int64(1 << 53), int64(1<<53) + 1, -float64(1 << 53), -int64(1<<53) - 1, float64(1 << 63), -float64(1 << 63), float64(math.MaxInt64 - 1024),
		bson.Binary{},
		bson.Binary{Data: []byte{0}},
		bson.Binary{Data: []byte{255}},
		bson.Binary{Subtype: 4, Data: []byte{0}},
		bson.Binary{Data: []byte{0, 0}},
		bson.ObjectID{},
		bson.ObjectID{255},
		bson.ObjectID{0, 1},
		bson.DateTime(0), bson.DateTime(-1), bson.DateTime(math.MaxInt64), bson.DateTime(math.MinInt64),
		bson.Timestamp{},
		bson.Timestamp{T: 1},
		bson.Timestamp{I: 1},
		bson.Timestamp{T: math.MaxUint32},
	}
	for range 60 {
		n := random.Int64() >> random.IntN(63)
		all = append(all, n, float64(n), math.Nextafter(float64(n), 0), math.Float64frombits(random.Uint64()))
	}
	return all
}

func value(tb testing.TB, v any) bson.RawValue {
	tb.Helper()
	return marshal(tb, bson.D{{Key: "v", Value: v}}).Lookup("v")
}

func rank(v bson.RawValue) int {
	return slices.Index([]bson.Type{bson.TypeNull, bson.TypeDouble, bson.TypeString, bson.TypeBinary, bson.TypeObjectID, bson.TypeBoolean, bson.TypeDateTime, bson.TypeTimestamp}, kind(v))
}

func kind(v bson.RawValue) bson.Type {
	if v.IsNumber() {
		return bson.TypeDouble
	}
	return v.Type
}

// compare is MongoDB's order as its manual tells it.
func compare(a, b bson.RawValue) int {
	if c := cmp.Compare(rank(a), rank(b)); c != 0 {
		return c
	}
	switch kind(a) {
	case bson.TypeDouble:
		x, y := number(a), number(b)
		if x == nil || y == nil { // NaN
			return cmp.Compare(truth(x != nil), truth(y != nil))
		}
		return x.Cmp(y)
	case bson.TypeString:
		return strings.Compare(a.StringValue(), b.StringValue())
	case bson.TypeBinary:
		s, x := a.Binary()
		t, y := b.Binary()
		return cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(s, t), bytes.Compare(x, y))
	case bson.TypeDateTime:
		return cmp.Compare(a.DateTime(), b.DateTime())
	case bson.TypeTimestamp:
		return cmp.Compare(binary.LittleEndian.Uint64(a.Value), binary.LittleEndian.Uint64(b.Value))
	default:
		return bytes.Compare(a.Value, b.Value)
	}
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}

func number(v bson.RawValue) *big.Float {
	if v.Type == bson.TypeDouble {
		if math.IsNaN(v.Double()) {
			return nil
		}
		return new(big.Float).SetFloat64(v.Double())
	}
	return new(big.Float).SetPrec(64).SetInt64(v.AsInt64())
}

// in tells whether a value meets a condition.
func in(v bson.RawValue, w store.Condition) bool {
	c := compare(v, w.Value)
	if w.Op == store.Eq {
		return c == 0
	}
	if rank(v) != rank(w.Value) || kind(v) == bson.TypeDouble && number(v) == nil {
		return false
	}
	switch w.Op {
	case store.Lt:
		return c < 0
	case store.Lte:
		return c <= 0
	case store.Gt:
		return c > 0
	default:
		return c >= 0
	}
}

// sample is a document of two indexed fields.
type sample struct {
	id   string
	a, b bson.RawValue
}

func TestIndexesFindWhatTheOrderOfValuesSays(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	db := open(t, t.TempDir())
	want := []store.Index{
		{Kind: "thing", Name: "up", Fields: []string{"a", "b"}},
		{Kind: "thing", Name: "mixed", Fields: []string{"in.a", "-in.b"}},
	}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	samples := fill(t, db, values(random), random)
	for i, x := range want {
		for _, turned := range []bool{false, true} {
			sign := map[bool]string{false: "", true: "-"}
			prefix := []string{"", "in."}[i]
			order := slices.Clone(samples)
			slices.SortFunc(order, func(s, u sample) int {
				b := compare(s.b, u.b)
				if i == 1 {
					b = -b
				}
				c := cmp.Or(compare(s.a, u.a), b, strings.Compare(s.id, u.id))
				if turned {
					c = -c
				}
				return c
			})
			q := store.Query{Kind: "thing", Sort: []string{sign[turned] + prefix + "a", sign[turned != (i == 1)] + prefix + "b"}, Limit: 97}
			expect(t, db, &want[i], q, order, func(sample) bool { return true })
			for range 25 {
				pick := func() bson.RawValue { return samples[random.IntN(len(samples))].a }
				op := []store.Op{store.Lt, store.Lte, store.Gt, store.Gte, store.Eq}[random.IntN(5)]
				w := store.Condition{Path: prefix + "a", Op: op, Value: pick()}
				if q.Where = []store.Condition{w}; op != store.Eq && invalid(w.Value) {
					continue
				}
				expect(t, db, &x, q, order, func(s sample) bool { return in(s.a, w) })
				// Equality on the first field and a range on the second.
				e := store.Condition{Path: prefix + "a", Op: store.Eq, Value: w.Value}
				lo, hi := samples[random.IntN(len(samples))].b, samples[random.IntN(len(samples))].b
				if invalid(lo) || invalid(hi) {
					continue
				}
				from, to := store.Condition{Path: prefix + "b", Op: store.Gte, Value: lo}, store.Condition{Path: prefix + "b", Op: store.Lt, Value: hi}
				q := q
				q.Where = []store.Condition{e, from, to}
				q.Sort = q.Sort[1:]
				expect(t, db, &x, q, order, func(s sample) bool { return in(s.a, e) && in(s.b, from) && in(s.b, to) })
			}
		}
	}
}

// invalid tells values that are no end of a range.
func invalid(v bson.RawValue) bool {
	return v.Type == bson.TypeNull || v.Type == bson.TypeDouble && math.IsNaN(v.Double())
}

func fill(t *testing.T, db *sqlite.DB, values []any, random *rand.Rand) []sample {
	t.Helper()
	samples := make([]sample, 0, len(values))
	writes := make([]store.Write, 0, len(values))
	for i, v := range values {
		s := sample{id: fmt.Sprint("s", i), a: value(t, v), b: value(t, values[random.IntN(len(values))])}
		if i%3 == 2 { // so that the second field decides
			s.a = samples[random.IntN(i)].a
		}
		samples = append(samples, s)
		fields := bson.D{{Key: "a", Value: s.a}, {Key: "b", Value: s.b}}
		writes = append(writes, store.Write{
			Kind: "thing", ID: s.id, Nonce: store.NewNonce(), Body: marshal(t, append(bson.D{{Key: "in", Value: fields}}, fields...)),
		})
	}
	errs, err := db.Apply(context.Background(), writes)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	return samples
}

// expect reads all pages of a query and compares them with those of the samples in order that match.
func expect(t *testing.T, db *sqlite.DB, x *store.Index, q store.Query, order []sample, match func(sample) bool) {
	t.Helper()
	var got, want []string
	for _, s := range order {
		if match(s) {
			want = append(want, s.id)
		}
	}
	for {
		docs, err := db.Find(context.Background(), q)
		if err != nil {
			t.Fatalf("%+v: %v", q, err)
		}
		if len(docs) == 0 {
			break
		}
		for _, doc := range docs {
			got = append(got, doc.ID)
		}
		plan, err := q.Plan([]store.Index{*x})
		if err != nil {
			t.Fatal(err)
		}
		if q.After, err = plan.Position(docs[len(docs)-1]); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("by %s, where %v, order %v:\ngot  %v\nwant %v", x, q.Where, q.Sort, got, want)
	}
}
