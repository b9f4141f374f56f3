package sqlite_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

const tailPage = 4096

// The tests are in bubbles, whose time stands while they work: a tail is moved after a second.

// tailed is a directory as a process leaves it that is killed: a document, and its next versions in the tail of the log, a page each.
func tailed(t *testing.T, versions int64) (dir string) {
	t.Helper()
	db := open(t, t.TempDir())
	put(t, db, "x", 0)
	for version := range versions {
		put(t, db, "x", version+1)
	}
	return copied(t, db, versions)
}

// copied copies a database's files while it is open, with so many entries in the tail.
func copied(t *testing.T, db *sqlite.DB, entries int64) (dir string) {
	t.Helper()
	if _, used, err := db.Tail(); err != nil || used != tailPage*(entries+1) {
		t.Fatalf("%d bytes of the tail are used, %v", used, err)
	}
	dir = t.TempDir()
	for _, name := range []string{"store.db", "store.db-wal", "store.tail"} {
		data, err := os.ReadFile(filepath.Join(db.Dir(), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// holds opens a directory and sees that it has a version of the document, on which further ones can be written.
func holds(t *testing.T, dir string, version int64) {
	t.Helper()
	for range 2 {
		db := open(t, dir)
		doc, err := db.Load(context.Background(), "player", "x")
		if err != nil || doc.Version != version || doc.Body.Lookup("n").Int64() != version || doc.Body.Lookup("m").Int64() != version {
			t.Fatalf("version %d, expected %d: %v", doc.Version, version, err)
		}
		put(t, db, "x", version)
		version++
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsOnlyInTheTailIsThereAfterACrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		holds(t, tailed(t, 5), 6)
	})
}

// Wherever a write is torn, what was done before it is there, and nothing of it.
func TestTornTailsAreCutWhereTheyAreTorn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tailed(t, 3)
		file, err := os.ReadFile(filepath.Join(dir, "store.tail"))
		if err != nil {
			t.Fatal(err)
		}
		salt := int64(binary.LittleEndian.Uint64(file[12:]))
		file = file[:5*tailPage]
		whole, err := sqlite.ParseTail(file, salt, 0)
		if err != nil || whole != 3 {
			t.Fatalf("the last row is %d, %v", whole, err)
		}
		length := func(entry int) int { return 16 + int(binary.LittleEndian.Uint32(file[tailPage*entry+4:])) }
		for _, rest := range []byte{0, 0xff} {
			for cut := tailPage; cut < len(file); cut++ {
				if entry := cut / tailPage; entry > 3 || cut%tailPage > length(entry) { // what is behind an entry does not matter
					continue
				}
				want := int64(0)
				for entry := 1; entry <= 3 && cut >= tailPage*entry+length(entry); entry++ {
					want++
				}
				torn := append(bytes.Clone(file[:cut]), bytes.Repeat([]byte{rest}, len(file)-cut)...)
				if bytes.Equal(torn, file) {
					want = 3
				}
				if got, err := sqlite.ParseTail(torn, salt, 0); got < want || got > want && !bytes.Equal(torn[:tailPage*int(got)+length(int(got))], file[:tailPage*int(got)+length(int(got))]) || err != nil {
					t.Fatalf("cut at %d and filled with %#x: the last row is %d, expected %d: %v", cut, rest, got, want, err)
				}
			}
		}
		for cut := 0; cut < len(file); cut += 64 { // and where the file ends, of pages and within
			got, err := sqlite.ParseTail(file[:cut], salt, 0)
			if want := max(0, int64(cut)/tailPage-1); cut >= tailPage && (got != min(want, 3) || err != nil) || cut < tailPage && err == nil {
				t.Fatalf("cut at %d: the last row is %d, %v", cut, got, err)
			}
		}
	})
}

// A bit that has changed ends the tail, or makes it another's.
func TestDamagedTailIsNotBelieved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			at      int
			version int64
		}{{3, 1}, {13, 1}, {tailPage, 1}, {tailPage + 9, 1}, {2*tailPage + 40, 2}, {3*tailPage + 4, 3}, {4*tailPage + 1, 4}} {
			dir := tailed(t, 3)
			path := filepath.Join(dir, "store.tail")
			file, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			file[c.at] ^= 4
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			holds(t, dir, c.version)
		}
	})
}

// A copy of the database alone is one of a moment before, and its log says what is missing; the tail of another database is not its own, and is kept.
func TestDatabaseWithoutItsTailIsOneOfAMomentBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, other := range []bool{false, true} {
			dir := tailed(t, 3)
			path := filepath.Join(dir, "store.tail")
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if other {
				if err := os.Rename(filepath.Join(tailed(t, 2), "store.tail"), path); err != nil {
					t.Fatal(err)
				}
			}
			var log bytes.Buffer
			db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir, Log: slog.New(slog.NewTextHandler(&log, nil))})
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(log.String(), path) || !strings.Contains(log.String(), "not the one that belongs to the database") {
				t.Errorf("the log says %q", log.String())
			}
			if _, err := os.Stat(path + ".old"); other != (err == nil) {
				t.Errorf("other %v: %v", other, err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			holds(t, dir, 1)
		}
	})
}

// An older copy of the database beside a newer tail of it has a gap.
func TestTailThatBeginsTooLateIsNotUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, t.TempDir())
		put(t, db, "x", 0)
		put(t, db, "x", 1)
		dir := copied(t, db, 1)
		put(t, db, "x", 2)
		if err := db.Move(); err != nil {
			t.Fatal(err)
		}
		put(t, db, "x", 3)
		file, err := os.ReadFile(filepath.Join(db.Dir(), "store.tail"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "store.tail"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, 1)
	})
}

// A tail that was moved into the table and begun anew has old entries behind the new ones.
func TestEntriesOfBeforeAreNotTakenForNewOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, t.TempDir())
		put(t, db, "x", 0)
		for version := range int64(5) {
			put(t, db, "x", version+1)
		}
		if err := db.Move(); err != nil {
			t.Fatal(err)
		}
		holds(t, copied(t, db, 0), 6)
		put(t, db, "x", 6)
		put(t, db, "x", 7)
		holds(t, copied(t, db, 2), 8)
	})
}

func TestTailIsMovedWithinASecondOrSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, t.TempDir())
		put(t, db, "x", 0)
		put(t, db, "x", 1)
		if n, _, err := db.Tail(); err != nil || n == 0 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // fake time
		if n, _, err := db.Tail(); err != nil || n != 0 {
			t.Fatalf("%d bytes, %v", n, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// The engine does it all while the tail can't be written, and nothing is lost.
func TestCommitsGoOnWithoutATail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		db := open(t, dir)
		put(t, db, "x", 0)
		put(t, db, "x", 1)
		if err := db.Break(); err != nil {
			t.Fatal(err)
		}
		for version := int64(2); version < 6; version++ {
			put(t, db, "x", version)
		}
		if n, _, err := db.Tail(); err != nil || n != 0 {
			t.Fatalf("the tail has %d bytes, %v", n, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		holds(t, dir, 6)

		if err := os.Mkdir(filepath.Join(dir, "store.tail"), 0o700); err != nil { // no file can be made there
			t.Fatal(err)
		}
		holds(t, dir, 8)
	})
}

// A tail that is full is moved, and rows that are too long do not go there.
func TestTailIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := open(t, t.TempDir())
		p := populate(t, db, 500)
		p.must(t, p.writes(0, 500, true))
		if n, _, err := db.Tail(); err != nil || n != 0 {
			t.Fatalf("500 patches: the tail has %d bytes, %v", n, err)
		}
		most, moved := int64(0), false
		for i := range 600 {
			p.must(t, []store.Write{p.write(i%500, true)})
			n, used, err := db.Tail()
			if err != nil || used > 1<<20 {
				t.Fatalf("%d bytes of the tail are used, %v", used, err)
			}
			moved = moved || used < most && n > 0
			most = max(most, used)
		}
		if most < 1<<19 || !moved {
			t.Fatalf("at most %d bytes were used, moved: %v", most, moved)
		}
		info, err := os.Stat(filepath.Join(db.Dir(), "store.tail"))
		if err != nil || info.Size() != 1<<20 || info.Mode().Perm() != 0o600 {
			t.Fatalf("%v, %v", info, err)
		}
	})
}

// A tail of a newer form is not guessed at.
func TestTailOfANewerFormIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := tailed(t, 1)
		path := filepath.Join(dir, "store.tail")
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		file[8] = 2
		binary.LittleEndian.PutUint32(file[20:], sqlite.Sum(file[:20]))
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := sqlite.Open(t.Context(), sqlite.Options{Dir: dir}); err == nil || !strings.Contains(err.Error(), "has form 2") {
			t.Fatalf("got %v", err)
		}
	})
}

func FuzzTail(f *testing.F) {
	f.Add([]byte("SkuaTail"), int64(1))
	f.Add(make([]byte, 3*tailPage), int64(0))
	f.Fuzz(func(t *testing.T, entries []byte, salt int64) {
		file := make([]byte, tailPage, tailPage+len(entries))
		copy(file, "SkuaTail\x01\x00\x00\x00")
		binary.LittleEndian.PutUint64(file[12:], uint64(salt))
		binary.LittleEndian.PutUint32(file[20:], sqlite.Sum(file[:20]))
		last, err := sqlite.ParseTail(append(file, entries...), salt, 7)
		if last < 7 || err != nil && last != 7 {
			t.Fatal(fmt.Sprint(last), errors.Join(err))
		}
	})
}
