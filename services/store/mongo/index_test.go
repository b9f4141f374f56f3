package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// indexable opens a database for tests of indexes: a real MongoDB, or FerretDB, which has no partial ones and none with a TTL.
func indexable(t *testing.T) (db *mongo.DB, uri, name string, whole bool) {
	t.Helper()
	if uri := os.Getenv("MONGO_URI"); uri != "" {
		name := fmt.Sprintf("skua_test_index_%d", time.Now().UnixNano())
		t.Cleanup(func() { drop(t, uri, name) })
		return open(t, mongo.Options{URI: uri, Database: name}), uri, name, true
	}
	server := ferrettest.Start(t)
	return open(t, mongo.Options{URI: server.URI(), PlainIndexes: true}), server.URI(), "skua", false
}

func value(tb testing.TB, v any) bson.RawValue {
	tb.Helper()
	kind, data, err := bson.MarshalValue(v)
	if err != nil {
		tb.Fatal(err)
	}
	return bson.RawValue{Type: kind, Value: data}
}

// names are the indexes that a kind has.
func names(tb testing.TB, uri, database, kind string) string {
	tb.Helper()
	list, err := client(tb, uri).Database(database).Collection(kind).Indexes().ListSpecifications(context.Background())
	if err != nil {
		tb.Fatal(err)
	}
	var all []string
	for _, x := range list {
		all = append(all, x.Name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func TestIndexesAreBuiltChangedAndDropped(t *testing.T) {
	db, uri, name, _ := indexable(t)
	ctx := context.Background()
	if err := put(t, db, "player", "1", `{"name": "ann", "score": 5}`); err != nil {
		t.Fatal(err)
	}
	others := client(t, uri).Database(name)
	if err := others.RunCommand(ctx, bson.D{{Key: "createIndexes", Value: "player"}, {Key: "indexes", Value: bson.A{
		bson.D{{Key: "name", Value: "of_others"}, {Key: "key", Value: bson.D{{Key: "body.x", Value: 1}}}},
	}}}).Err(); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		want          []store.Index
		player, guild string
	}{
		{
			[]store.Index{{Kind: "player", Name: "score", Fields: []string{"-score", "name"}}, {Kind: "guild", Name: "tag", Fields: []string{"tag"}, Unique: true}},
			"_id_ of_others skua_score", "_id_ skua_tag",
		},
		{
			[]store.Index{{Kind: "player", Name: "score", Fields: []string{"-score", "name"}}, {Kind: "guild", Name: "tag", Fields: []string{"tag"}, Unique: true}},
			"_id_ of_others skua_score", "_id_ skua_tag",
		},
		{
			[]store.Index{{Kind: "player", Name: "score", Fields: []string{"score"}, Unique: true}, {Kind: "player", Name: "name", Fields: []string{"name"}}},
			"_id_ of_others skua_name skua_score", "_id_",
		},
		{nil, "_id_ of_others", "_id_"},
	} {
		if err := db.Indexes(ctx, step.want); err != nil {
			t.Fatal(err)
		}
		if got := names(t, uri, name, "player"); got != step.player {
			t.Errorf("players have %s, want %s", got, step.player)
		}
		if got := names(t, uri, name, "guild"); got != step.guild {
			t.Errorf("guilds have %s, want %s", got, step.guild)
		}
	}
	if err := db.Indexes(ctx, []store.Index{{Kind: "player", Name: "bad", Fields: []string{"a..b"}}}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "bad") {
		t.Errorf("got %v", err)
	}
}

func TestAUniqueIndexRefusesASecondDocumentAndNamesTheFirst(t *testing.T) {
	db, _, _, whole := indexable(t)
	ctx := context.Background()
	if err := db.Indexes(ctx, []store.Index{
		{Kind: "player", Name: "mail", Fields: []string{"mail"}, Unique: true}, {Kind: "player", Name: "place", Fields: []string{"at.x", "at.y"}, Unique: true},
	}); err != nil {
		t.Fatal(err)
	}
	if err := put(t, db, "player", "1", `{"mail": "ann@x", "at": {"x": 1, "y": 1}}`); err != nil {
		t.Fatal(err)
	}
	refused := func(id, index string, err error) {
		t.Helper()
		var dup *store.DuplicateError
		if !errors.As(err, &dup) || !errors.Is(err, store.ErrDuplicate) || *dup != (store.DuplicateError{Kind: "player", ID: id, Index: index, Other: "1"}) {
			t.Errorf("got %v, want %s refused by %s for 1", err, id, index)
		}
	}
	refused("2", "mail", put(t, db, "player", "2", `{"mail": "ann@x", "at": {"x": 2, "y": 1}}`))
	refused("2", "place", put(t, db, "player", "2", `{"mail": "bob@x", "at": {"x": 1, "y": {"$numberDouble": "1.0"}}}`))
	if err := put(t, db, "player", "2", `{"mail": "bob@x", "at": {"x": 1, "y": 2}}`); err != nil {
		t.Fatal(err)
	}
	if whole {
		changed(t, db, refused)
	} else {
		t.Log("can't be shown here: an update that a unique index refuses: FerretDB 1.24 has an internal error then")
	}
	errs := settle(t, []store.Doc{{Kind: "player", ID: "9", Version: 5, Body: body(t, `{"mail": "ann@x", "at": {"x": 9, "y": 9}}`)}}, db.Import)
	refused("9", "mail", errs[0])
	// What is deleted is not in the way; version and epoch stay.
	if err := apply(t, db, store.Write{Kind: "player", ID: "1", Version: 1, Nonce: store.NewNonce(), Delete: true}); err != nil {
		t.Fatal(err)
	}
	if err := put(t, db, "player", "4", `{"mail": "ann@x", "at": {"x": 1, "y": 1}}`); err != nil {
		t.Error(err)
	}
	if err := put(t, db, "player", "5", `{"mail": ["ann@x"]}`); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "at mail") {
		t.Errorf("got %v", err)
	}
}

// changed breaks an index by a change, told as a patch, beside a write that does not.
func changed(t *testing.T, db *mongo.DB, refused func(id, index string, err error)) {
	t.Helper()
	before, after := body(t, `{"mail": "bob@x", "at": {"x": 1, "y": 2}}`), body(t, `{"mail": "ann@x", "at": {"x": 1, "y": 2}}`)
	errs := settle(t, []store.Write{
		{Kind: "player", ID: "2", Version: 1, Epoch: 1, Nonce: store.NewNonce(), Body: after, Patch: store.Diff(before, after)},
		{Kind: "player", ID: "3", Nonce: store.NewNonce(), Body: body(t, `{"mail": "eve@x", "at": {"x": 3, "y": 3}}`)},
	}, db.Apply)
	refused("2", "mail", errs[0])
	if errs[1] != nil {
		t.Errorf("the other got %v", errs[1])
	}
}

func TestAnIndexThatDocumentsAreAgainstNamesThem(t *testing.T) {
	db, uri, name, _ := indexable(t)
	ctx := context.Background()
	for id, text := range map[string]string{"1": `{"mail": "a", "n": 1}`, "2": `{"mail": "b", "n": 2}`, "3": `{"mail": "a", "n": {"$numberDouble": "2.0"}}`, "4": `{"tags": ["x"]}`} {
		if err := put(t, db, "player", id, text); err != nil {
			t.Fatal(err)
		}
	}
	for field, pair := range map[string][2]string{"mail": {"1", "3"}, "n": {"2", "3"}} {
		err := db.Indexes(ctx, []store.Index{{Kind: "player", Name: "of_" + field, Fields: []string{field}, Unique: true}})
		var dup *store.DuplicateError
		if !errors.As(err, &dup) || dup.Index != "of_"+field || [2]string{min(dup.ID, dup.Other), max(dup.ID, dup.Other)} != pair {
			t.Errorf("%s: got %v, want %v", field, err, pair)
		}
	}
	for _, field := range []string{"tags", "tags.deep"} {
		if err := db.Indexes(ctx, []store.Index{{Kind: "player", Name: "tags", Fields: []string{field}}}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "player/4") {
			t.Errorf("%s: got %v", field, err)
		}
	}
	if got := names(t, uri, name, "player"); got != "_id_" {
		t.Errorf("there are %s", got)
	}
}

// Pages of a query are what sorting all of the index would give, whatever the types of the values and the directions.
func TestQueriesAreReadPageByPageInTheOrderOfTheIndex(t *testing.T) {
	db, _, _, whole := indexable(t)
	ctx := context.Background()
	values := []any{nil, int32(-3), 2.5, int64(2), 7.0, "", "a", "aa", bson.ObjectID{1}, bson.ObjectID{2}, false, true, bson.DateTime(-5), bson.DateTime(9)}
	fields := []string{"a", "-b"}
	index := store.Index{Kind: "thing", Name: "ab", Fields: fields}
	if err := db.Indexes(ctx, []store.Index{index}); err != nil {
		t.Fatal(err)
	}
	n := 0
	for i, a := range values {
		for j, b := range values {
			if (i+j)%3 != 0 && i != j {
				continue
			}
			d := bson.D{{Key: "a", Value: a}, {Key: "b", Value: b}}
			if b == nil && i%2 == 0 {
				d = d[:1] // missing counts as null
			}
			if err := apply(t, db, store.Write{Kind: "thing", ID: fmt.Sprintf("%03d", n), Nonce: store.NewNonce(), Body: document(t, d)}); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	if whole { // FerretDB's plain index has it
		if err := put(t, db, "thing", "without", `{"b": 1}`); err != nil {
			t.Fatal(err)
		}
	}
	for _, sort := range [][]string{{"a", "-b"}, {"-a", "b"}, {"a"}, {"-a"}} {
		var all, paged []string
		q := store.Query{Kind: "thing", Sort: sort, Limit: 10_000}
		docs, err := db.Find(ctx, q)
		if err != nil || len(docs) != n {
			t.Fatalf("%v: %d documents of %d, %v", sort, len(docs), n, err)
		}
		for _, d := range docs {
			all = append(all, d.ID)
		}
		plan, err := q.Plan([]store.Index{index})
		if err != nil {
			t.Fatal(err)
		}
		for q.Limit = 7; ; {
			page, err := db.Find(ctx, q)
			if err != nil || len(page) > 7 {
				t.Fatal(len(page), err)
			}
			if len(page) == 0 {
				break
			}
			for _, d := range page {
				paged = append(paged, d.ID)
			}
			if q.After, err = plan.Position(page[len(page)-1]); err != nil {
				t.Fatal(err)
			}
		}
		if !slices.Equal(all, paged) {
			t.Errorf("%v:\nall   %v\npaged %v", sort, all, paged)
		}
	}
}

func TestAQueryFindsByEqualitiesAndARange(t *testing.T) {
	db, _, _, _ := indexable(t)
	ctx := context.Background()
	if err := db.Indexes(ctx, []store.Index{{Kind: "score", Name: "board", Fields: []string{"board", "-points"}}, {Kind: "score", Name: "who", Fields: []string{"who"}, Unique: true}}); err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		text := fmt.Sprintf(`{"board": "b%d", "points": %d, "who": {"$numberLong": "%d"}, "more": {"x": 1, "y": 2}}`, i%2, i*10, i)
		if err := put(t, db, "score", fmt.Sprintf("s%02d", i), text); err != nil {
			t.Fatal(err)
		}
	}
	eq := store.Condition{Path: "board", Value: value(t, "b1")}
	for _, c := range []struct {
		q    store.Query
		want string
	}{
		{store.Query{Where: []store.Condition{eq}, Limit: 3}, "s19 s17 s15"},
		{store.Query{Where: []store.Condition{eq}, Sort: []string{"points"}, Limit: 3}, "s01 s03 s05"},
		{store.Query{Where: []store.Condition{eq, {Path: "points", Op: store.Gt, Value: value(t, 50)}, {Path: "points", Op: store.Lte, Value: value(t, 110.0)}}, Limit: 9}, "s11 s09 s07"},
		{store.Query{Where: []store.Condition{{Path: "who", Value: value(t, 7.0)}}, Limit: 9}, "s07"},
		{store.Query{Where: []store.Condition{{Path: "who", Op: store.Gte, Value: value(t, int32(18))}}, Limit: 9}, "s18 s19"},
		{store.Query{Where: []store.Condition{{Path: "who", Op: store.Gte, Value: value(t, "text")}}, Limit: 9}, ""},
	} {
		c.q.Kind, c.q.Fields = "score", []string{"more.x"}
		docs, err := db.Find(ctx, c.q)
		var ids []string
		for _, d := range docs {
			ids = append(ids, d.ID)
			if d.Body.String() != body(t, `{"more": {"x": 1}}`).String() || d.Version != 1 {
				t.Errorf("got %+v", d)
			}
		}
		if err != nil || strings.Join(ids, " ") != c.want {
			t.Errorf("%+v: got %v, %v; want %s", c.q, ids, err, c.want)
		}
	}
	if _, err := db.Find(ctx, store.Query{Kind: "score", Where: []store.Condition{{Path: "more.x", Value: value(t, 1)}}, Limit: 1}); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), "more.x") {
		t.Errorf("got %v", err)
	}
}

// What FerretDB has no word for is at least asked for in MongoDB's.
func TestMongoDBIsAskedForPartialIndexesWithATTL(t *testing.T) {
	var mu sync.Mutex
	var asked []bson.Raw
	server := mongotest.Answer(t, func(command string, doc bson.Raw) bson.D {
		cursor := func(docs bson.A) bson.D {
			return bson.D{{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "skua.x"}, {Key: "firstBatch", Value: docs}}}}
		}
		mu.Lock()
		defer mu.Unlock()
		switch command {
		case "createIndexes", "dropIndexes":
			asked = append(asked, slices.Clone(doc))
		case "listCollections":
			return cursor(bson.A{bson.D{{Key: "name", Value: "token"}, {Key: "type", Value: "collection"}}})
		case "listIndexes":
			return cursor(bson.A{
				bson.D{{Key: "name", Value: "skua_same"}, {Key: "key", Value: bson.D{{Key: "body.a", Value: 1.0}, {Key: "_id", Value: int64(1)}}}, {Key: "partialFilterExpression", Value: bson.D{{Key: "body.a", Value: bson.D{{Key: "$exists", Value: true}}}}}},
				bson.D{{Key: "name", Value: "skua_ttl"}, {Key: "key", Value: bson.D{{Key: "body.at", Value: 1}}}, {Key: "expireAfterSeconds", Value: 60}, {Key: "partialFilterExpression", Value: bson.D{{Key: "body.at", Value: bson.D{{Key: "$exists", Value: true}}}}}},
			})
		case "find":
			return cursor(bson.A{})
		}
		return nil
	})
	db := open(t, mongo.Options{URI: "mongodb://" + server.Addr() + "/?maxPoolSize=1"})
	if err := db.Indexes(context.Background(), []store.Index{
		{Kind: "token", Name: "same", Fields: []string{"a"}}, {Kind: "token", Name: "ttl", Fields: []string{"at"}, TTL: time.Hour},
	}); err != nil {
		t.Fatal(err)
	}
	if len(asked) != 2 || asked[0].Lookup("dropIndexes").StringValue() != "token" || asked[0].Lookup("index").StringValue() != "skua_ttl" {
		t.Fatalf("got %v", asked)
	}
	want := `{"key": {"body.at": {"$numberInt":"1"}},"expireAfterSeconds": {"$numberInt":"3600"},"name": "skua_ttl","partialFilterExpression": {"body.at": {"$exists": true}}}`
	if got := asked[1].Lookup("indexes", "0").Document().String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// MongoDB names the index: by that a process which does not know it gives up at once, and one that another program made is no version conflict.
func TestDuplicatesOfUnknownIndexesAreFinal(t *testing.T) {
	stamp := bson.D{{Key: "_id", Value: "x"}, {Key: "ver", Value: int64(1)}, {Key: "epoch", Value: int64(1)}, {Key: "nonce", Value: int64(5)}}
	for text, want := range map[string]error{
		"E11000 duplicate key error collection: skua.player index: skua_mail dup key: { body.mail: \"a\" }": store.ErrDuplicate,
		"E11000 duplicate key error collection: skua.player index: of_others dup key: { x: 1 }":             store.ErrInvalid,
		"E11000 duplicate key error collection: skua.player index: _id_ dup key: { _id: \"x\" }":            store.ErrUnavailable,
	} {
		server := mongotest.AnswerWith(t, map[string]bson.D{
			"update": {{Key: "ok", Value: 1}, {Key: "n", Value: 0}, {Key: "nModified", Value: 0}, {Key: "writeErrors", Value: bson.A{
				bson.D{{Key: "index", Value: 0}, {Key: "code", Value: 11000}, {Key: "errmsg", Value: text}},
			}}},
			"find": {{Key: "ok", Value: 1}, {Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "skua.player"}, {Key: "firstBatch", Value: bson.A{stamp}}}}},
		})
		db := open(t, mongo.Options{URI: "mongodb://" + server.Addr() + "/?maxPoolSize=1"})
		err := apply(t, db, store.Write{Kind: "player", ID: "x", Version: 1, Epoch: 1, Nonce: store.NewNonce(), Body: body(t, `{"mail": "a"}`)})
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
