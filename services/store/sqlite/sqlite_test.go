package sqlite_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/filelock"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
	"github.com/skua-go/skua/services/store/storetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		child(dir)
	}
	goleak.VerifyTestMain(m)
}

func open(tb testing.TB, dir string) *sqlite.DB {
	tb.Helper()
	return openWith(tb, sqlite.Options{Dir: dir})
}

// openSweeping opens a database that looks for old documents all the time.
func openSweeping(tb testing.TB, dir string) *sqlite.DB {
	tb.Helper()
	return openWith(tb, sqlite.Options{Dir: dir, Sweep: 20 * time.Millisecond})
}

func openWith(tb testing.TB, opt sqlite.Options) *sqlite.DB {
	tb.Helper()
	opt.Log = slog.New(slog.NewTextHandler(tb.Output(), nil))
	db, err := sqlite.Open(context.Background(), opt)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := db.Close(); err != nil {
			tb.Error(err)
		}
	})
	return db
}

func TestContract(t *testing.T) {
	base := t.TempDir()
	storetest.Run(t, func(tb testing.TB, name string) store.Backend {
		return openSweeping(tb, filepath.Join(base, name))
	}, storetest.Options{})
}

func TestFilesAreForTheirUserOnly(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "data")
	db := open(t, dir)
	put(t, db, "x", 0)
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Fatalf("the directory: %v, %v", info.Mode(), err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 3 {
		t.Fatalf("%v, %v; want at least the database, its log and the lock", files, err)
	}
	for _, file := range files {
		if info, err := file.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", file.Name(), info.Mode(), err)
		}
	}
}

func TestSecondOpenIsToldWhoHasTheDirectory(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	_, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if !errors.Is(err, filelock.ErrHeld) || !strings.Contains(err.Error(), dir) || !strings.Contains(err.Error(), "process") {
		t.Fatalf("got %v", err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir)
}

func TestCloseLeavesOneFileWithEverything(t *testing.T) {
	dir := t.TempDir()
	db := open(t, dir)
	put(t, db, "x", 0)
	put(t, db, "x", 1)
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, gone := range []string{"store.db-wal", "store.db-shm", "store.tail"} {
		if _, err := os.Stat(filepath.Join(dir, gone)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left: %v", gone, err)
		}
	}
	doc, err := open(t, dir).Load(context.Background(), "player", "x")
	if err != nil || doc.Version != 2 {
		t.Fatalf("%+v, %v", doc, err)
	}
}

func TestDirectoryMayHaveAnyName(t *testing.T) {
	for _, name := range []string{"a b", "a?mode=memory", "a#b", "a%41", "ä'\"", "-x"} {
		dir := filepath.Join(t.TempDir(), name)
		db := open(t, dir)
		put(t, db, "x", 0)
		if _, err := os.Stat(filepath.Join(dir, "store.db")); err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if doc, err := open(t, dir).Load(context.Background(), "player", "x"); err != nil || doc.Version != 1 {
			t.Errorf("%q: %+v, %v", name, doc, err)
		}
	}
}

func TestForeignFilesAreRefusedUntouched(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"garbage", "not a database"}, {"another program", "another program"}, {"newer", "a newer Skua"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "store.db")
			switch c.name {
			case "garbage":
				if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
					t.Fatal(err)
				}
			case "another program":
				script(t, path, `CREATE TABLE mine (x)`)
			case "newer":
				if err := open(t, dir).Close(); err != nil {
					t.Fatal(err)
				}
				script(t, path, `PRAGMA user_version = 99`)
			}
			before, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v, want %q", err, c.want)
			}
			after, err := os.ReadFile(path)
			if err != nil || len(before) != len(after) {
				t.Fatalf("the file was changed: %d bytes, then %d, %v", len(before), len(after), err)
			}
		})
	}
}

func TestOpenNeedsADirectory(t *testing.T) {
	if _, err := sqlite.Open(context.Background(), sqlite.Options{}); err == nil {
		t.Fatal("opened without a directory")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(context.Background(), sqlite.Options{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Fatalf("got %v", err)
	}
}
