package storetest

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func queries() []testcase {
	return []testcase{
		{name: "HostileQueriesAreRefused", needs: Indexed, run: hostileQueries},
		{name: "ValuesAreInMongoDBsOrder", needs: Indexed, run: order},
		{name: "QueriesFindWhatTheirConditionsSay", needs: Indexed, run: randomQueries},
		{name: "FoundDocumentsHaveTheFieldsAskedFor", needs: Indexed, run: foundFields},
	}
}

func value(v any) bson.RawValue {
	if v == nil {
		return bson.RawValue{Type: bson.TypeNull} // which MarshalValue does not take
	}
	t, data, err := bson.MarshalValue(v)
	if err != nil {
		panic(err) // a test's own literal
	}
	return bson.RawValue{Type: t, Value: data}
}

func hostileQueries(e *env) {
	e.index(store.Index{Kind: "player", Name: "x", Fields: []string{"a", "-b", "c"}})
	eq := func(path string, v any) store.Condition { return store.Condition{Path: path, Value: value(v)} }
	gt := func(path string, v any) store.Condition {
		return store.Condition{Path: path, Op: store.Gt, Value: value(v)}
	}
	for what, q := range map[string]store.Query{
		"nothing":         {Kind: "player"},
		"kind":            {Kind: "Not A Kind", Where: []store.Condition{eq("a", 1)}},
		"other kind":      {Kind: "guild", Where: []store.Condition{eq("a", 1)}},
		"not indexed":     {Kind: "player", Where: []store.Condition{eq("d", 1)}},
		"second only":     {Kind: "player", Where: []store.Condition{eq("b", 1)}},
		"gap":             {Kind: "player", Where: []store.Condition{eq("a", 1), eq("c", 1)}},
		"two ranges":      {Kind: "player", Where: []store.Condition{gt("a", 1), gt("b", 1)}},
		"behind a range":  {Kind: "player", Where: []store.Condition{gt("a", 1), eq("b", 1)}},
		"twice":           {Kind: "player", Where: []store.Condition{eq("a", 1), eq("a", 2)}},
		"both":            {Kind: "player", Where: []store.Condition{eq("a", 1), gt("a", 0)}},
		"two lower":       {Kind: "player", Where: []store.Condition{gt("a", 1), gt("a", 0)}},
		"mixed signs":     {Kind: "player", Sort: []string{"a", "b"}},
		"sorted by other": {Kind: "player", Where: []store.Condition{eq("a", 1)}, Sort: []string{"c"}},
		"regex":           {Kind: "player", Where: []store.Condition{eq("a", bson.Regex{Pattern: ".*"})}},
		"operator":        {Kind: "player", Where: []store.Condition{eq("a", bson.D{{Key: "$gt", Value: 0}})}},
		"array":           {Kind: "player", Where: []store.Condition{eq("a", bson.A{1})}},
		"no value":        {Kind: "player", Where: []store.Condition{{Path: "a"}}},
		"half a value":    {Kind: "player", Where: []store.Condition{{Path: "a", Value: bson.RawValue{Type: bson.TypeInt64, Value: []byte{1}}}}},
		"bad text":        {Kind: "player", Where: []store.Condition{eq("a", "\xff")}},
		"above null":      {Kind: "player", Where: []store.Condition{gt("a", nil)}},
		"above NaN":       {Kind: "player", Where: []store.Condition{gt("a", math.NaN())}},
		"path":            {Kind: "player", Where: []store.Condition{eq("$where", 1)}},
		"no operator":     {Kind: "player", Where: []store.Condition{{Path: "a", Op: 9, Value: value(1)}}},
		"fields":          {Kind: "player", Where: []store.Condition{eq("a", 1)}, Fields: []string{"$x"}},
		"position":        {Kind: "player", Where: []store.Condition{eq("a", 1)}, After: &store.Position{ID: "x"}},
		"position's id":   {Kind: "player", Where: []store.Condition{eq("a", 1)}, After: &store.Position{ID: "", Values: []bson.RawValue{value(1), value(1), value(1)}}},
		"its value":       {Kind: "player", Where: []store.Condition{eq("a", 1)}, After: &store.Position{ID: "x", Values: []bson.RawValue{value(1), value(1), value(bson.A{})}}},
	} {
		q.Limit = 1
		if docs, err := e.Find(context.Background(), q); err == nil {
			e.Errorf("%s: %d documents", what, len(docs))
		} else {
			e.is(err, store.ErrInvalid)
		}
	}
	for _, limit := range []int{0, -1, store.MaxQueryLimit + 1} {
		_, err := e.Find(context.Background(), store.Query{Kind: "player", Where: []store.Condition{eq("a", 1)}, Limit: limit})
		e.is(err, store.ErrInvalid, "limit")
	}
	if docs := e.found(store.Query{Kind: "player", Where: []store.Condition{eq("a", 1)}, Limit: 1}); len(docs) != 0 {
		e.Errorf("found %v", docs)
	}
}

// sorted are values in MongoDB's order: https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/. Those of one line are equal.
func (e *env) sorted() [][]any {
	all := [][]any{
		{nil},
		{math.NaN()},
		{math.Inf(-1)},
		{-math.MaxFloat64},
		{int64(math.MinInt64), -0x1p63},
		{int64(math.MinInt64) + 1},
		{int32(math.MinInt32), float64(math.MinInt32)},
		{-1.5},
		{int32(-1), int64(-1), -1.0},
		{-math.SmallestNonzeroFloat64},
		{0.0, math.Copysign(0, -1), int32(0), int64(0)},
		{math.SmallestNonzeroFloat64},
		{0.5},
		{int32(1), int64(1), 1.0},
		{1.5},
		{int64(1) << 53, 0x1p53},
		{int64(1)<<53 + 1},
		{int64(1)<<53 + 2, 0x1p53 + 2},
		{int64(math.MaxInt64) - 1},
		{int64(math.MaxInt64)},
		{0x1p63},
		{math.MaxFloat64},
		{math.Inf(1)},
		{""},
		{"\x00"},
		{"\x00\x00"},
		{"\x00a"},
		{"\x01"},
		{"A"},
		{"a"},
		{"a\x00"},
		{"a\x00b"},
		{"a\x01"},
		{"aa"},
		{"b"},
		{"ä"},
		{"日本"},
		{"😀"},
		{bson.Binary{}},
		{bson.Binary{Data: []byte{0}}},
		{bson.Binary{Data: []byte{255}}},
		{bson.Binary{Subtype: 5, Data: []byte{0}}},
		{bson.Binary{Data: []byte{0, 0}}},
		{bson.ObjectID{}},
		{bson.ObjectID{0, 1}},
		{bson.ObjectID{255}},
		{false},
		{true},
		{bson.DateTime(math.MinInt64)},
		{bson.DateTime(-1)},
		{bson.DateTime(0)},
		{bson.DateTime(1)},
		{bson.DateTime(math.MaxInt64)},
		{bson.Timestamp{}},
		{bson.Timestamp{T: 1}},
		{bson.Timestamp{T: 1, I: 1}},
		{bson.Timestamp{T: math.MaxUint32, I: math.MaxUint32}},
	}
	if _, missing := e.opt.Cannot[SpecialDoubles]; missing {
		all = slices.DeleteFunc(all, func(same []any) bool {
			f, ok := same[0].(float64)
			return ok && (math.IsNaN(f) || math.IsInf(f, 0))
		})
		for i, same := range all {
			all[i] = slices.DeleteFunc(same, func(v any) bool { f, ok := v.(float64); return ok && f == 0 && math.Signbit(f) })
		}
	}
	return all
}

// class is the type's place in the order.
func class(v bson.RawValue) int {
	switch v.Type {
	case 0, bson.TypeNull:
		return 1
	case bson.TypeDouble, bson.TypeInt32, bson.TypeInt64:
		return 2
	case bson.TypeString:
		return 3
	case bson.TypeBinary:
		return 4
	case bson.TypeObjectID:
		return 5
	case bson.TypeBoolean:
		return 6
	case bson.TypeDateTime:
		return 7
	case bson.TypeTimestamp:
		return 8
	}
	panic(fmt.Sprint("no value of a test: ", v)) // only what is listed above
}

// compare is the reference for the order.
func compare(a, b bson.RawValue) int {
	if c := cmp.Compare(class(a), class(b)); c != 0 || class(a) == 1 {
		return c
	}
	switch a.Type {
	case bson.TypeDouble, bson.TypeInt32, bson.TypeInt64:
		if isNaN(a) || isNaN(b) {
			return cmp.Compare(truth(isNaN(b)), truth(isNaN(a)))
		}
		return exact(a).Cmp(exact(b))
	case bson.TypeString:
		return strings.Compare(a.StringValue(), b.StringValue())
	case bson.TypeBinary:
		at, ad := a.Binary()
		bt, bd := b.Binary()
		return cmp.Or(cmp.Compare(len(ad), len(bd)), cmp.Compare(at, bt), bytes.Compare(ad, bd))
	case bson.TypeBoolean:
		return cmp.Compare(truth(a.Boolean()), truth(b.Boolean()))
	case bson.TypeDateTime:
		return cmp.Compare(a.DateTime(), b.DateTime())
	case bson.TypeTimestamp:
		at, ai := a.Timestamp()
		bt, bi := b.Timestamp()
		return cmp.Or(cmp.Compare(at, bt), cmp.Compare(ai, bi))
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

func isNaN(v bson.RawValue) bool {
	f, ok := v.DoubleOK()
	return ok && math.IsNaN(f)
}

// exact is a number; infinities are as well.
func exact(v bson.RawValue) *big.Float {
	if f, ok := v.DoubleOK(); ok {
		return big.NewFloat(f)
	}
	return new(big.Float).SetInt64(v.AsInt64())
}

func order(e *env) {
	all := e.sorted()
	e.index(store.Index{Kind: "up", Name: "v", Fields: []string{"v"}}, store.Index{Kind: "down", Name: "v", Fields: []string{"-v"}})
	place := map[string]int{} // by id
	for i, same := range all {
		for j, v := range same {
			id := fmt.Sprintf("%03d.%d", (i*37)%101, j) // ids in another order
			place[id] = i
			for _, kind := range []string{"up", "down"} {
				e.must(store.Write{Kind: kind, ID: id, Nonce: store.NewNonce(), Body: body(e, "v", v)})
			}
			if i > 0 && compare(value(all[i-1][0]), value(v)) >= 0 || compare(value(same[0]), value(v)) != 0 {
				e.Fatalf("the reference has %v in another place", v)
			}
		}
	}
	for _, q := range []store.Query{
		{Kind: "up", Sort: []string{"v"}}, {Kind: "up", Sort: []string{"-v"}}, {Kind: "down", Sort: []string{"v"}}, {Kind: "down", Sort: []string{"-v"}},
	} {
		q.Limit = 1000
		got := e.found(q)
		if len(got) != len(place) {
			e.Fatalf("%v: %d documents of %d", q, len(got), len(place))
		}
		if q.Sort[0] == "-v" {
			slices.Reverse(got)
		}
		for i := 1; i < len(got); i++ {
			if place[got[i-1]] > place[got[i]] {
				e.Errorf("%v: %v is before %v", q, all[place[got[i-1]]], all[place[got[i]]])
			}
		}
	}
	// Each value is found by each that is equal to it.
	for _, same := range all {
		for _, v := range same {
			if got := e.found(store.Query{Kind: "up", Where: []store.Condition{{Path: "v", Value: value(v)}}, Limit: 1000}); len(got) != len(same) {
				e.Errorf("%v: found %d, want %d", v, len(got), len(same))
			}
		}
	}
}

// record is a document of the reference.
type record struct {
	id  string
	raw bson.Raw
}

func at(raw bson.Raw, path string) bson.RawValue {
	v, err := raw.LookupErr(strings.Split(path, ".")...)
	if err != nil {
		return bson.RawValue{}
	}
	return v
}

func plain(path string) string { return strings.TrimPrefix(path, "-") }

// randomQueries compares with a reference that looks at all documents.
func randomQueries(e *env) {
	seed := rand.Uint64()
	e.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 3))
	have := []store.Index{
		{Kind: "player", Name: "i1", Fields: []string{"a", "-b", "in.c"}},
		{Kind: "player", Name: "i2", Fields: []string{"-b", "a"}},
		{Kind: "player", Name: "i3", Fields: []string{"in.c"}},
	}
	e.index(have...)
	pool := []any{nil, int32(1), int64(2), 2.5, "", "x", "xy", true, bson.DateTime(5)}
	some := func() any { return pool[r.IntN(len(pool))] }
	const many = 120
	records, writes := make([]record, 0, many), make([]store.Write, 0, many)
	for i := range many {
		d := bson.D{{Key: "n", Value: i}}
		for _, key := range []string{"a", "b"} {
			if r.IntN(6) > 0 {
				d = append(d, bson.E{Key: key, Value: some()})
			}
		}
		if r.IntN(6) > 0 {
			d = append(d, bson.E{Key: "in", Value: bson.D{{Key: "c", Value: some()}}})
		}
		rec := record{fmt.Sprint("d", (i*53)%many), e.marshal(d)}
		records = append(records, rec)
		writes = append(writes, store.Write{Kind: "player", ID: rec.id, Nonce: store.NewNonce(), Body: rec.raw})
	}
	for chunk := range slices.Chunk(writes, 30) {
		for _, err := range e.settle(chunk) {
			e.is(err, nil)
		}
	}
	found := 0
	rounds := 150
	if e.opt.Slow {
		rounds = 20
	}
	for range rounds {
		q := randomQuery(r, have[r.IntN(len(have))], some)
		plan, err := q.Plan(have)
		if err != nil {
			e.Fatalf("%+v: %v", q, err)
		}
		want := reference(records, q, plan)
		var got []string
		for {
			docs, err := e.Find(context.Background(), q)
			if err != nil {
				e.Fatalf("%s: %v", text(q), err)
			}
			if len(docs) == 0 {
				break
			}
			if len(docs) > q.Limit || len(got) > len(records) {
				e.Fatalf("%s: %d documents, and before %d", text(q), len(docs), len(got))
			}
			for _, d := range docs {
				got = append(got, d.ID)
			}
			if q.After, err = plan.Position(docs[len(docs)-1]); err != nil {
				e.Fatal(err)
			}
		}
		if !slices.Equal(got, want) {
			e.Fatalf("%s by %v\ngot  %v\nwant %v", text(q), plan.Index.Fields, got, want)
		}
		found += len(got)
	}
	if found < 2*rounds {
		e.Errorf("%d documents found: this shows little", found)
	}
}

func text(q store.Query) string {
	parts := make([]string, 0, len(q.Where))
	for _, w := range q.Where {
		parts = append(parts, fmt.Sprint(w.Path, " ", w.Op, " ", w.Value))
	}
	return fmt.Sprintf("where %s sort %v limit %d", strings.Join(parts, ", "), q.Sort, q.Limit)
}

// randomQuery is one that an index serves.
func randomQuery(r *rand.Rand, x store.Index, some func() any) store.Query {
	q := store.Query{Kind: x.Kind, Limit: []int{1, 3, 7, 1000}[r.IntN(4)]}
	n := r.IntN(len(x.Fields) + 1)
	for _, f := range x.Fields[:n] {
		q.Where = append(q.Where, store.Condition{Path: plain(f), Value: value(some())})
	}
	rest := x.Fields[n:]
	if len(rest) > 0 && r.IntN(2) == 0 {
		end := some()
		for end == nil {
			end = some()
		}
		q.Where = append(q.Where, store.Condition{Path: plain(rest[0]), Op: []store.Op{store.Gt, store.Gte}[r.IntN(2)], Value: value(end)})
		switch r.IntN(3) {
		case 0:
			q.Where = append(q.Where, store.Condition{Path: plain(rest[0]), Op: []store.Op{store.Lt, store.Lte}[r.IntN(2)], Value: value(9.5)})
		case 1:
			q.Where[len(q.Where)-1].Op = store.Lt
		}
	}
	turn := r.IntN(2) == 0
	sorts := r.IntN(len(rest) + 1)
	if len(q.Where) == 0 && len(rest) > 0 {
		sorts = max(1, sorts)
	}
	for _, f := range rest[:sorts] {
		if turn {
			if plain(f) == f {
				f = "-" + f
			} else {
				f = plain(f)
			}
		}
		q.Sort = append(q.Sort, f)
	}
	return q
}

func matches(rec record, w store.Condition) bool {
	v := at(rec.raw, w.Path)
	if class(v) != class(w.Value) || w.Op != store.Eq && (isNaN(v) || v.Type == 0) {
		return false
	}
	c := compare(v, w.Value)
	switch w.Op {
	case store.Eq:
		return c == 0
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

// reference is what a query finds, in order.
func reference(records []record, q store.Query, plan store.Plan) (ids []string) {
	var hits []record
	for _, rec := range records {
		in := at(rec.raw, plain(plan.Index.Fields[0])).Type != 0
		for _, w := range q.Where {
			in = in && matches(rec, w)
		}
		if in {
			hits = append(hits, rec)
		}
	}
	slices.SortFunc(hits, func(a, b record) int {
		c := 0
		for _, f := range plan.Index.Fields {
			if c = compare(at(a.raw, plain(f)), at(b.raw, plain(f))); f[0] == '-' {
				c = -c
			}
			if c != 0 {
				break
			}
		}
		if c == 0 {
			c = strings.Compare(a.id, b.id)
		}
		if plan.Reverse {
			c = -c
		}
		return c
	})
	for _, h := range hits {
		ids = append(ids, h.id)
	}
	return ids
}

func foundFields(e *env) {
	e.index(store.Index{Kind: "player", Name: "best", Fields: []string{"-score"}})
	for i := range 3 {
		e.must(store.Write{Kind: "player", ID: fmt.Sprint("d", i), Epoch: int64(i), Nonce: store.NewNonce(), Body: body(e, "score", i, "name", fmt.Sprint("n", i), "bag", bson.A{1, 2})})
	}
	q := store.Query{Kind: "player", Where: []store.Condition{{Path: "score", Op: store.Gte, Value: value(1)}}, Sort: []string{"-score"}, Limit: 10}
	docs, err := e.Find(context.Background(), q)
	if err != nil || len(docs) != 2 {
		e.Fatalf("%d documents, %v", len(docs), err)
	}
	e.same(docs[0], store.Doc{Kind: "player", ID: "d2", Version: 1, Epoch: 2, Body: body(e, "score", 2, "name", "n2", "bag", bson.A{1, 2})})
	q.Fields = []string{"name"}
	docs, err = e.Find(context.Background(), q)
	if err != nil || len(docs) != 2 {
		e.Fatalf("%d documents, %v", len(docs), err)
	}
	e.same(docs[0], store.Doc{Kind: "player", ID: "d2", Version: 1, Epoch: 2, Body: body(e, "name", "n2")})
}
