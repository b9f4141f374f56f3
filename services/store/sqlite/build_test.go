package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// ask reads something of a database file, which may be open.
func ask(tb testing.TB, dir, query string, results ...any) {
	tb.Helper()
	connector, err := engine.NewConnector(filepath.Join(dir, "store.db"))
	if err != nil {
		tb.Fatal(err)
	}
	db := sql.OpenDB(connector)
	if err := db.QueryRow(query).Scan(results...); err != nil {
		tb.Fatal(err)
	}
	if err := db.Close(); err != nil {
		tb.Fatal(err)
	}
}

// impatient is a context that ends when it has been asked so often whether it has.
type impatient struct {
	context.Context //nolint:containedctx // it is one

	left atomic.Int32
}

func (c *impatient) Err() error {
	if c.left.Add(-1) < 0 {
		return context.Canceled
	}
	return nil
}

func manyThings(t *testing.T, db *sqlite.DB, docs int) {
	t.Helper()
	batch := make([]store.Write, docs)
	for i := range batch {
		batch[i] = thing(t, fmt.Sprintf("%04d", i), 0, bson.D{{Key: "n", Value: i}, {Key: "name", Value: fmt.Sprint("name", i)}}, nil)
	}
	errs, err := db.Apply(context.Background(), batch)
	if err := errors.Join(append(errs, err)...); err != nil {
		t.Fatal(err)
	}
}

func TestIndexIsBuiltOnWhereItWasInterrupted(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	const docs = 1500
	manyThings(t, db, docs)
	want := []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"n"}}}
	ctx := &impatient{Context: context.Background()}
	ctx.left.Store(5) // the catalog, the new index, three steps
	if err := db.Indexes(ctx, want); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	// Meanwhile documents change where it has been and where it has not.
	for _, i := range []int{3, docs - 3} {
		if err := one(db, thing(t, fmt.Sprintf("%04d", i), 1, bson.D{{Key: "n", Value: docs + i}}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	var upto string
	var done bool
	if ask(t, dir, `SELECT upto, done FROM indexes`, &upto, &done); upto != "0767" || done {
		t.Fatalf("it was built up to %q, done: %v", upto, done)
	}
	db = open(t, dir)
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	found, err := db.Find(context.Background(), store.Query{Kind: "thing", Sort: []string{"n"}, Limit: store.MaxQueryLimit})
	if err != nil || len(found) != docs || found[docs-2].ID != "0003" || found[docs-1].ID != "1497" {
		t.Fatalf("%d documents, %v", len(found), err)
	}
	ask(t, dir, `SELECT upto, done FROM indexes`, &upto, &done)
	if !done {
		t.Fatal("it is not noted as done")
	}
}

func TestIndexThatIsNotWantedLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	manyThings(t, db, 1100) // more than one transaction removes
	want := []store.Index{{Kind: "thing", Name: "by_n", Fields: []string{"n"}}, {Kind: "thing", Name: "by_name", Fields: []string{"name"}}}
	if err := db.Indexes(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	if err := db.Indexes(context.Background(), want[1:]); err != nil {
		t.Fatal(err)
	}
	left := func(entries, indexes int) func() bool {
		return func() bool {
			var e, i int
			ask(t, dir, `SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM indexes)`, &e, &i)
			return e == entries && i == indexes
		}
	}
	waitFor(t, left(1100, 1))
	same(t, by(t, db, "name", "name77"), "0077")
	if err := db.Indexes(context.Background(), nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, left(0, 0))
}

func TestTimeToLiveMayChange(t *testing.T) {
	dir := t.TempDir()
	db := openSweeping(t, dir)
	for i, age := range []time.Duration{time.Minute, 3 * time.Hour} {
		if err := one(db, thing(t, fmt.Sprint("d", i), 0, bson.D{{Key: "at", Value: time.Now().Add(-age)}}, nil)); err != nil {
			t.Fatal(err)
		}
	}
	gone := func(id string) func() bool {
		return func() bool {
			_, err := db.Load(context.Background(), "thing", id)
			return errors.Is(err, store.ErrNotFound)
		}
	}
	for i, c := range []struct {
		ttl  time.Duration
		gone string
	}{{24 * time.Hour, ""}, {time.Hour, "d1"}, {time.Second, "d0"}} {
		if err := db.Indexes(context.Background(), []store.Index{{Kind: "thing", Name: "old", Fields: []string{"at"}, TTL: c.ttl}}); err != nil {
			t.Fatal(err)
		}
		var num int
		var spec string
		ask(t, dir, `SELECT num, spec FROM indexes`, &num, &spec)
		if num != 1 || !strings.Contains(spec, fmt.Sprint(int(c.ttl/time.Second))) {
			t.Fatalf("round %d: index %d, %s: it should be the first one still, with another time", i, num, spec)
		}
		if c.gone != "" {
			waitFor(t, gone(c.gone))
		}
		if i < 2 && gone("d0")() {
			t.Fatal("a young one is gone")
		}
	}
}
