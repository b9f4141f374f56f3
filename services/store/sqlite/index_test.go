package sqlite_test

import (
	"context"
	"errors"
	"fmt"
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
