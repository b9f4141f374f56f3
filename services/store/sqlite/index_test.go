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
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// one applies one write.
func one(db store.Backend, w store.Write) error {
	errs, err := db.Apply(context.Background(), []store.Write{w})
	if err != nil {
		return err
	}
	return errs[0]
}

func thing(tb testing.TB, id string, version int64, fields bson.D, patch *store.Patch) store.Write {
	tb.Helper()
	return store.Write{Kind: "thing", ID: id, Version: version, Nonce: store.NewNonce(), Body: marshal(tb, fields), Patch: patch}
}

func by(tb testing.TB, db *sqlite.DB, field string, v any) []string {
	tb.Helper()
	docs, err := db.Find(context.Background(), store.Query{
		Kind: "thing", Where: []store.Condition{{Path: field, Op: store.Eq, Value: value(tb, v)}}, Limit: 100,
	})
	if err != nil {
		tb.Fatal(err)
	}
	ids := []string{}
	for _, doc := range docs {
		ids = append(ids, doc.ID)
	}
	return ids
}

func same(tb testing.TB, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Fatalf("got %v, want %v", got, want)
	}
}

func TestIndexFollowsEachWayOfWriting(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	want := []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"in.n"}}, {Kind: "thing", Name: "by_name", Fields: []string{"name"}, Unique: true}}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	state := func(n int, name any) bson.D {
		return bson.D{{Key: "in", Value: bson.D{{Key: "n", Value: n}}}, {Key: "name", Value: name}, {Key: "pad", Value: strings.Repeat("x", 500)}}
	}
	body := state(1, "ann")
	must := func(w store.Write) {
		t.Helper()
		if err := one(db, w); err != nil {
			t.Fatal(err)
		}
	}
	change := func(version int64, to bson.D) {
		t.Helper()
		patch := store.Diff(marshal(t, body), marshal(t, to))
		if patch == nil || patch.IsEmpty() {
			t.Fatal("no patch")
		}
		must(thing(t, "x", version, to, patch))
		body = to
	}
	must(thing(t, "x", 0, body, nil))
	must(thing(t, "y", 0, state(1, "bob"), nil))
	same(t, by(t, db, "in.n", 1), "x", "y")
	change(1, state(2, "ann"))
	same(t, by(t, db, "in.n", 1), "y")
	same(t, by(t, db, "in.n", 2.0), "x")
	change(2, bson.D{{Key: "in", Value: bson.D{}}, body[1], body[2]}) // without the field it is not in the index
	same(t, by(t, db, "in.n", 2))
	change(3, bson.D{{Key: "in", Value: bson.D{{Key: "n", Value: nil}}}, body[1], body[2]})
	same(t, by(t, db, "in.n", nil), "x")

	// A name that another one has: refused, by a patch and whole, with nothing changed.
	taken := bson.D{{Key: "in", Value: bson.D{{Key: "n", Value: 9}}}, {Key: "name", Value: "bob"}, body[2]}
	for _, patch := range []*store.Patch{nil, store.Diff(marshal(t, body), marshal(t, taken))} {
		var duplicate *store.DuplicateError
		if err := one(db, thing(t, "x", 4, taken, patch)); !errors.As(err, &duplicate) || duplicate.Other != "y" || duplicate.ID != "x" || duplicate.Index != "by_name" {
			t.Fatalf("got %v", err)
		}
	}
	same(t, by(t, db, "in.n", 9))
	same(t, by(t, db, "in.n", nil), "x")

	// A name changes hands within one batch, in this order.
	errs, err := db.Apply(context.Background(), []store.Write{thing(t, "y", 1, state(1, "eve"), nil), thing(t, "x", 4, state(5, "bob"), nil)})
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	same(t, by(t, db, "name", "bob"), "x")

	// What can't be in an index is refused.
	if err := one(db, thing(t, "x", 5, state(5, bson.A{"bob"}), nil)); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "by_name") {
		t.Fatalf("got %v", err)
	}
	must(store.Write{Kind: "thing", ID: "x", Version: 5, Nonce: store.NewNonce(), Delete: true})
	same(t, by(t, db, "name", "bob"))
	must(thing(t, "z", 0, state(5, "bob"), nil))

	// An import is in the indexes, and refused by them.
	imported := func(id, name string) error {
		errs, err := db.Import(context.Background(), []store.Doc{{Kind: "thing", ID: id, Version: 3, Body: marshal(t, state(7, name))}})
		return errors.Join(append(errs, err)...)
	}
	if err := imported("i", "bob"); !errors.Is(err, store.ErrDuplicate) {
		t.Fatalf("got %v", err)
	}
	if err := imported("i", "joe"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	var invalid *store.InvalidError
	if _, err := db.Find(context.Background(), store.Query{Kind: "thing", Sort: []string{"name"}, Limit: 5}); !errors.As(err, &invalid) {
		t.Fatalf("an index that this process has not declared: got %v", err)
	}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	same(t, by(t, db, "in.n", 7), "i")
	same(t, by(t, db, "name", "bob"), "z")
}

func TestIndexIsBuiltWhileOthersWrite(t *testing.T) {
	db := open(t, t.TempDir())
	const docs = 2000
	batch := make([]store.Write, 0, docs)
	for i := range docs {
		batch = append(batch, thing(t, fmt.Sprintf("%04d", i), 0, bson.D{{Key: "n", Value: i}, {Key: "pad", Value: make([]byte, 300)}}, nil))
	}
	errs, err := db.Apply(context.Background(), batch)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() { // documents before, at and behind the place where the building is
			for at := i; at < docs; at += 40 {
				from := bson.D{{Key: "n", Value: at}, {Key: "pad", Value: make([]byte, 300)}}
				to := bson.D{{Key: "n", Value: docs + at}, from[1]}
				w := thing(t, fmt.Sprintf("%04d", at), 1, to, store.Diff(marshal(t, from), marshal(t, to)))
				if i%2 == 0 {
					w.Patch = nil
				}
				if err := one(db, w); err != nil {
					t.Error(err)
				}
			}
		})
	}
	want := []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"n"}, Unique: true}}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	found, err := db.Find(context.Background(), store.Query{Kind: "thing", Sort: []string{"n"}, Limit: store.MaxQueryLimit})
	if err != nil || len(found) != docs {
		t.Fatalf("%d documents, %v", len(found), err)
	}
	last := int64(-1)
	for _, doc := range found {
		n := doc.Body.Lookup("n").AsInt64()
		if n <= last {
			t.Fatalf("%d comes behind %d", n, last)
		}
		last = n
	}
}

func TestIndexThatCannotBeBuiltIsGivenUp(t *testing.T) {
	db := open(t, t.TempDir())
	for i, name := range []string{"ann", "bob", "ann"} {
		if err := one(db, thing(t, fmt.Sprint("d", i), 0, bson.D{{Key: "name", Value: name}, {Key: "n", Value: i}}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	want := []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"n"}}, {Kind: "thing", Name: "by_name", Fields: []string{"name"}, Unique: true}}
	err := db.Indexes(context.Background(), want)
	var duplicate *store.DuplicateError
	if !errors.As(err, &duplicate) || duplicate.ID != "d2" || duplicate.Other != "d0" || !strings.Contains(err.Error(), "by_name") {
		t.Fatalf("got %v", err)
	}
	// Nothing of it is left: the next one may have the name, too.
	if err := one(db, thing(t, "d3", 0, bson.D{{Key: "name", Value: "bob"}, {Key: "n", Value: 3}}, nil)); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if err := one(db, thing(t, fmt.Sprint("d", i), 1, bson.D{{Key: "name", Value: fmt.Sprint("name", i)}, {Key: "n", Value: i}}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	same(t, by(t, db, "name", "name3"), "d3")

	// One that is not wanted any more is gone, and so is one that is wanted in another way.
	want = []store.Index{{Kind: "thing", Name: "by_name", Fields: []string{"-name"}}}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	if err := one(db, thing(t, "d9", 0, bson.D{{Key: "name", Value: "name3"}}, nil)); err != nil {
		t.Fatal(err)
	}
	same(t, by(t, db, "name", "name3"), "d3", "d9")
	if _, err := db.Find(context.Background(), store.Query{Kind: "thing", Sort: []string{"n"}, Limit: 5}); !errors.Is(err, store.ErrInvalid) {
		t.Fatalf("got %v", err)
	}
}

func TestDocumentsAreRemovedWhenTheirTimeHasCome(t *testing.T) {
	dir := t.TempDir()
	db := openSweeping(t, dir)
	now := time.Now()
	for i := range 300 {
		d := bson.D{{Key: "at", Value: now.Add(-2 * time.Hour)}, {Key: "n", Value: i}, {Key: "pad", Value: make([]byte, 200)}}
		switch {
		case i%3 == 0:
			d[0].Value = now.Add(time.Hour)
		case i%50 == 1:
			d[0].Value = "no date"
		case i%50 == 2:
			d = d[1:]
		}
		if err := one(db, thing(t, fmt.Sprintf("%03d", i), 0, d, nil)); err != nil {
			t.Fatal(err)
		}
	}
	// One of them has become old by a patch that only the log has.
	old := bson.D{{Key: "at", Value: now.Add(-2 * time.Hour)}, {Key: "n", Value: 0}, {Key: "pad", Value: make([]byte, 200)}}
	young := slices.Clone(old)
	young[0].Value = now.Add(time.Hour)
	if err := one(db, thing(t, "000", 1, old, store.Diff(marshal(t, young), marshal(t, old)))); err != nil {
		t.Fatal(err)
	}
	want := []store.Index{{Kind: "thing", Name: "old", Fields: []string{"at"}, TTL: time.Hour}}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	left := func(i int) bool { return i != 0 && (i%3 == 0 || i%50 == 1 || i%50 == 2) }
	count := 0
	for i := range 300 {
		count += truth(left(i))
	}
	waitFor(t, func() bool {
		docs, err := db.Scan(context.Background(), "thing", "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		return len(docs) <= count
	})
	for i := range 300 {
		doc, err := db.Load(context.Background(), "thing", fmt.Sprintf("%03d", i))
		if left(i) != (err == nil) || !left(i) && doc.Version != 0 {
			t.Fatalf("%d: version %d, %v", i, doc.Version, err)
		}
	}
	// One that is removed may come again, and the former owner's write does not get in.
	if err := one(db, thing(t, "000", 2, young, nil)); !errors.Is(err, store.ErrConflict) {
		t.Fatalf("got %v", err)
	}
	if err := one(db, thing(t, "000", 0, young, nil)); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if doc, err := open(t, dir).Load(context.Background(), "thing", "000"); err != nil || doc.Version != 1 {
		t.Fatalf("%+v, %v", doc, err)
	}
}

func waitFor(tb testing.TB, condition func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-tb.Context().Done():
			tb.Fatal("it never happened")
		}
	}
}

// A write that fails when its row is written already costs its transaction; what shares it is done without it.
func TestWriteThatFailsHalfwayIsUndoneAndHurtsNobodyElse(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	if err := db.Indexes(context.Background(), []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"n"}}}); err != nil {
		t.Fatal(err)
	}
	script(t, filepath.Join(dir, "store.db"), `CREATE TRIGGER broken BEFORE INSERT ON entries BEGIN SELECT RAISE(ABORT, 'broken'); END`)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			id := fmt.Sprint("d", i)
			err := one(db, thing(t, id, 0, bson.D{{Key: "n", Value: i}}, nil))
			if err == nil || store.Retryable(err) || !strings.Contains(err.Error(), "thing/"+id) || !strings.Contains(err.Error(), "broken") {
				t.Errorf("got %v", err)
			}
		})
		wg.Go(func() {
			for version := range int64(5) {
				if err := apply(db, fmt.Sprint("p", i), version); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	// In one batch with others, too.
	errs, err := db.Apply(context.Background(), []store.Write{
		thing(t, "one", 0, bson.D{{Key: "n", Value: 1}}, nil), thing(t, "without", 0, bson.D{}, nil), thing(t, "two", 0, bson.D{{Key: "n", Value: 2}}, nil),
	})
	if err != nil || errs[0] == nil || errs[1] != nil || errs[2] == nil {
		t.Errorf("got %v, %v", errs, err)
	}
	if doc, err := db.Load(context.Background(), "thing", "without"); err != nil || doc.Version != 1 {
		t.Errorf("%+v, %v", doc, err)
	}
	for i := range 20 {
		if _, err := db.Load(context.Background(), "thing", fmt.Sprint("d", i)); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("half of a write is there: %v", err)
		}
		if doc, err := db.Load(context.Background(), "player", fmt.Sprint("p", i)); err != nil || doc.Version != 5 || doc.Body.Lookup("n").Int64() != 5 {
			t.Errorf("%+v, %v", doc, err)
		}
	}
}
