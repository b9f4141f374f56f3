package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

func document(tb testing.TB, d bson.D) bson.Raw {
	tb.Helper()
	raw, err := bson.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// body reads extended JSON.
func body(tb testing.TB, text string) bson.Raw {
	tb.Helper()
	var d bson.D
	if err := bson.UnmarshalExtJSON([]byte(text), false, &d); err != nil {
		tb.Fatal(err)
	}
	return document(tb, d)
}

// apply does one write.
func apply(tb testing.TB, db *mongo.DB, w store.Write) error {
	tb.Helper()
	errs, err := db.Apply(context.Background(), []store.Write{w})
	if err != nil {
		return err
	}
	return errs[0]
}

// put makes version 1 of a document.
func put(tb testing.TB, db *mongo.DB, kind, id, text string) error {
	tb.Helper()
	return apply(tb, db, store.Write{Kind: kind, ID: id, Nonce: store.NewNonce(), Body: body(tb, text)})
}

// settle does as a careful caller: what should be tried again is. FerretDB 1.24 leaves out what is behind an error, and may name the wrong one.
func settle[T any](tb testing.TB, all []T, do func(context.Context, []T) ([]error, error)) []error {
	tb.Helper()
	results := make([]error, len(all))
	todo := make([]int, len(all))
	for i := range todo {
		todo[i] = i
	}
	for range 2 + len(all) {
		var batch []T
		for _, at := range todo {
			batch = append(batch, all[at])
		}
		errs, err := do(context.Background(), batch)
		if err != nil {
			tb.Fatal(err)
		}
		var again []int
		for i, at := range todo {
			if results[at] = errs[i]; store.Retryable(errs[i]) {
				again = append(again, at)
			}
		}
		if todo = again; len(todo) == 0 {
			return results
		}
	}
	tb.Fatalf("after many tries: %v", errors.Join(results...))
	return nil
}

// A patch goes over the wire in the place of the body, and the database has then what the body would have been.
func TestAPatchIsWrittenInPlaceOfTheBody(t *testing.T) {
	server := ferrettest.Start(t)
	p := mongotest.NewProxy(t, server.Addr())
	db := open(t, mongo.Options{URI: p.URI()})
	pad := strings.Repeat("never sent again ", 200)
	versions := []string{
		`{"pad": "` + pad + `", "gold": 1, "bag": [{"n": 1}, {"n": 2}], "deep": {"a": {"0": 1, "b": [1, 2, 3]}}, "old": true, "none": null}`,
		`{"pad": "` + pad + `", "gold": {"$numberLong": "2"}, "bag": [{"n": 1}, {"n": 5}, {"n": 3}, "x"], "deep": {"a": {"0": 7, "b": [1, 2, 3, 4]}}, "none": null, "new": {"x": []}}`,
		`{"pad": "` + pad + `", "gold": {"$numberLong": "2"}, "bag": [], "deep": {"a": {"0": 7, "b": [1, 2]}}, "none": 1, "new": {"x": [5], "y": {}}}`,
		`{"pad": "` + pad + `", "gold": {"$numberLong": "2"}, "bag": [], "deep": {"a": {"0": 7, "b": [1, 2]}}, "none": 1, "new": {"x": [5], "y": {}}}`,
	}
	old := body(t, versions[0])
	if err := put(t, db, "player", "x", versions[0]); err != nil {
		t.Fatal(err)
	}
	if !p.Said([]byte(pad)) {
		t.Fatal("the body was not sent at first")
	}
	p.Hear()
	for i, text := range versions[1:] {
		after := body(t, text)
		w := store.Write{Kind: "player", ID: "x", Version: int64(i + 1), Nonce: store.NewNonce(), Body: after, Patch: store.Diff(old, after)}
		if w.Patch == nil {
			t.Fatalf("version %d: no patch", i+2)
		}
		for range 2 { // the second time as after a lost answer
			if err := apply(t, db, w); err != nil {
				t.Fatalf("version %d: %v", i+2, err)
			}
		}
		if p.Said([]byte(pad)) {
			t.Errorf("version %d: what has not changed was sent", i+2)
		}
		doc, err := db.Load(context.Background(), "player", "x")
		if err != nil || doc.Version != int64(i+2) {
			t.Fatalf("%+v, %v", doc, err)
		}
		if d := store.Diff(doc.Body, after); d == nil || !d.IsEmpty() {
			t.Errorf("version %d: got %s, want %s", i+2, doc.Body, after)
		}
		old = after
	}
}

// Somebody has changed the body behind the store's back, so that the patch is not possible: the body is, as long as the version stands.
func TestAPatchThatIsNotPossibleBecomesTheBody(t *testing.T) {
	server := ferrettest.Start(t)
	db := open(t, mongo.Options{URI: server.URI()})
	ctx := context.Background()
	before, after := `{"a": {"b": 1}, "pad": "0123456789012345678901234567890123456789"}`, `{"a": {"b": 2}, "pad": "0123456789012345678901234567890123456789"}`
	for _, id := range []string{"x", "y"} {
		if err := put(t, db, "player", id, before); err != nil {
			t.Fatal(err)
		}
	}
	raw := client(t, server.URI()).Database("skua").Collection("player")
	if _, err := raw.UpdateOne(ctx, bson.D{{Key: "_id", Value: "x"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "body.a", Value: "no document"}}}}); err != nil {
		t.Fatal(err)
	}
	var writes []store.Write
	for _, id := range []string{"y", "x"} {
		writes = append(writes, store.Write{
			Kind: "player", ID: id, Version: 1, Epoch: 1, Nonce: store.NewNonce(), Body: body(t, after), Patch: store.Diff(body(t, before), body(t, after)),
		})
	}
	if err := errors.Join(settle(t, writes, db.Apply)...); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"x", "y"} {
		if doc, err := db.Load(ctx, "player", id); err != nil || doc.Version != 2 || doc.Body.String() != body(t, after).String() {
			t.Errorf("%+v, %v", doc, err)
		}
	}
	// A stale one is refused all the same.
	writes[1].Nonce, writes[1].Version = store.NewNonce(), 1
	if err := apply(t, db, writes[1]); !errors.Is(err, store.ErrConflict) {
		t.Errorf("got %v", err)
	}
}

func TestImportsTellWhatIsThereAlready(t *testing.T) {
	server := ferrettest.Start(t)
	db := open(t, mongo.Options{URI: server.URI(), CommandWrites: 4})
	ctx := context.Background()
	var docs []store.Doc
	for i := range 10 {
		docs = append(docs, store.Doc{Kind: []string{"guild", "player"}[i%2], ID: fmt.Sprintf("d%d", i), Version: int64(i + 1), Epoch: int64(i), Body: document(t, bson.D{{Key: "n", Value: i}})})
	}
	for range 2 { // the second time as after a lost answer
		errs, err := db.Import(ctx, docs)
		if err != nil || errors.Join(errs...) != nil {
			t.Fatalf("got %v, %v", errs, err)
		}
	}
	for _, d := range docs {
		if got, err := db.Load(ctx, d.Kind, d.ID); err != nil || got.Version != d.Version || got.Epoch != d.Epoch || got.Body.String() != d.Body.String() {
			t.Errorf("got %+v, %v, want %+v", got, err, d)
		}
	}
	kinds, err := db.Kinds(ctx)
	if err != nil || fmt.Sprint(kinds) != "[guild player]" {
		t.Errorf("got %v, %v", kinds, err)
	}
	docs[3].Version++
	docs = append(docs, store.Doc{Kind: "player", ID: "new", Version: 1, Body: docs[0].Body})
	errs := settle(t, docs, db.Import)
	for i, err := range errs {
		if (i == 3) != errors.Is(err, store.ErrExists) || i != 3 && err != nil {
			t.Errorf("document %d: %v", i, err)
		}
	}
}
