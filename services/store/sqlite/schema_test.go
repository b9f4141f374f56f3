package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// A file as the first release wrote it.
func TestFileOfTheFirstSchemaIsTakenOver(t *testing.T) {
	dir := t.TempDir()
	body := marshal(t, bson.D{{Key: "n", Value: 1}})
	script(t, filepath.Join(dir, "store.db"), fmt.Sprintf(`
		CREATE TABLE docs (
			kind  TEXT    NOT NULL,
			id    TEXT    NOT NULL,
			ver   INTEGER NOT NULL,
			epoch INTEGER NOT NULL,
			nonce INTEGER NOT NULL,
			body  BLOB,
			PRIMARY KEY (kind, id)
		) STRICT;
		INSERT INTO docs VALUES ('player', 'ann', 7, 3, 99, x'%x'), ('player', 'gone', 4, 2, 98, NULL), ('guild', 'ann', 1, 0, 97, x'%x');
		PRAGMA application_id = %d;
		PRAGMA user_version = 1`, []byte(body), []byte(body), 0x536b7561))
	for range 2 { // and again, when it is one of the new schema
		db := open(t, dir)
		ctx := context.Background()
		if doc, err := db.Load(ctx, "player", "ann"); err != nil || doc.Version != 7 || doc.Epoch != 3 || string(doc.Body) != string(body) {
			t.Fatalf("%+v, %v", doc, err)
		}
		if doc, err := db.Load(ctx, "player", "gone"); !errors.Is(err, store.ErrNotFound) || doc.Version != 4 || doc.Epoch != 2 {
			t.Fatalf("%+v, %v", doc, err)
		}
		if err := one(db, store.Write{Kind: "player", ID: "ann", Version: 6, Epoch: 3, Nonce: 99, Body: body}); err != nil {
			t.Fatalf("the retry of the write that made version 7: %v", err)
		}
		if err := db.Indexes(ctx, []store.Index{{Kind: "guild", Name: "n", Fields: []string{"n"}}}); err != nil {
			t.Fatal(err)
		}
		docs, err := db.Find(ctx, store.Query{Kind: "guild", Sort: []string{"n"}, Limit: 10})
		if err != nil || len(docs) != 1 || docs[0].ID != "ann" || docs[0].Version != 1 {
			t.Fatalf("%+v, %v", docs, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// patched makes a file that has a version in a row and two more in the log, and closes it.
func patched(t *testing.T, dir string) {
	t.Helper()
	db := open(t, dir)
	for version := range int64(3) {
		put(t, db, "x", version)
		if err := db.Move(); err != nil { // a row of the log each
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestLogThatIsNoneIsNotOpened(t *testing.T) {
	for _, c := range []struct{ name, change, want string }{
		{"another form", `UPDATE log SET data = CAST(x'09' || substr(data, 2) AS BLOB)`, "another form"},
		{"cut", `UPDATE log SET data = substr(data, 1, length(data) - 3)`, "row 1 of the log"},
		{"a gap", `DELETE FROM log WHERE seq = 1`, "player/x is at version 1, then come the records of version 3"},
		{"empty", `UPDATE log SET data = x''`, "row 1 of the log"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			patched(t, dir)
			script(t, filepath.Join(dir, "store.db"), c.change)
			if _, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
		})
	}
}

// A document whose log does not fit its row, because somebody has changed the file, is an error and no guess; the others
// live on, and the log can still be shortened.
func TestDocumentWhoseLogDoesNotFitHurtsNobodyElse(t *testing.T) {
	dir := t.TempDir()
	patched(t, dir)
	script(t, filepath.Join(dir, "store.db"), `UPDATE docs SET body = x'0900000000'`)
	for range 2 {
		db := open(t, dir)
		if err := db.Limit(1, 0); err != nil {
			t.Fatal(err)
		}
		p := populate(t, db, 1)
		for range 20 {
			p.must(t, p.writes(0, 1, true))
		}
		if _, documents, _, err := db.Log(); err != nil || documents > 2 {
			t.Fatalf("the log has something of %d documents, %v", documents, err)
		}
		for name, err := range map[string]error{"load": loadError(db), "claim": claimError(db), "scan": scanError(db)} {
			if err == nil || !strings.Contains(err.Error(), "player/x") || errors.Is(err, store.ErrInvalid) || store.Retryable(err) {
				t.Fatalf("%s: got %v", name, err)
			}
		}
		errs, err := db.Apply(context.Background(), []store.Write{{Kind: "player", ID: "p0", Version: p.version[0], Epoch: 1, Nonce: 1, Delete: true}})
		if err := errors.Join(append(errs, err)...); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		script(t, filepath.Join(dir, "store.db"), `DELETE FROM docs WHERE id = 'p0'`)
	}
	db := open(t, dir)
	put(t, db, "x", 3) // whole, it is well again
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

func loadError(db *sqlite.DB) error {
	_, err := db.Load(context.Background(), "player", "x")
	return err
}

func claimError(db *sqlite.DB) error {
	_, err := db.Claim(context.Background(), "player", "x", 0)
	return err
}

func scanError(db *sqlite.DB) error {
	_, err := db.Scan(context.Background(), "player", "", 10)
	return err
}

// A VACUUM may number rows anew; the log and the indexes go by numbers of their own.
func TestVacuumChangesNothing(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	p := populate(t, db, 50)
	p.must(t, p.writes(0, 50, true))
	p.must(t, []store.Write{{Kind: "player", ID: "p3", Version: 2, Epoch: 1, Nonce: 1, Delete: true}})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	connector, err := engine.NewConnector(filepath.Join(dir, "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	other := sql.OpenDB(connector)
	if _, err := other.Exec(`DELETE FROM docs WHERE id = 'p3'; VACUUM`); err != nil {
		t.Fatal(err)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	p.db = open(t, dir)
	p.must(t, p.writes(4, 50, true))
}
