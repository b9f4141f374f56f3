package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	engine "modernc.org/sqlite"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// childDir makes the test binary the process that is killed.
const childDir = "SKUA_TEST_SQLITE_CHILD"

const crashWorkers = 16

// numbered has its version in it twice, far apart, so that a torn write would show.
func numbered(version int64) bson.Raw {
	raw, err := bson.Marshal(bson.D{{Key: "n", Value: version}, {Key: "pad", Value: make([]byte, 3000)}, {Key: "m", Value: version}})
	if err != nil {
		panic(err)
	}
	return raw
}

func put(tb testing.TB, db store.Backend, id string, version int64) {
	tb.Helper()
	if err := apply(db, id, version); err != nil {
		tb.Fatal(err)
	}
}

// apply writes the next version, as a patch if there is one to change.
func apply(db store.Backend, id string, version int64) error {
	w := store.Write{Kind: "player", ID: id, Version: version, Epoch: 1, Nonce: store.NewNonce(), Body: numbered(version + 1)}
	if version > 0 {
		w.Patch = store.Diff(numbered(version), w.Body)
	}
	errs, err := db.Apply(context.Background(), []store.Write{w})
	if err != nil {
		return err
	}
	return errs[0]
}

// child writes for ever, in many goroutines, and says so on standard output after each acknowledgement. It ends when
// it is killed, or when its parent is gone and nobody reads.
func child(dir string) {
	db, err := sqlite.Open(context.Background(), sqlite.Options{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	var wg sync.WaitGroup
	for worker := range crashWorkers {
		wg.Go(func() {
			id := fmt.Sprint("w", worker)
			doc, err := db.Load(context.Background(), "player", id)
			for version := doc.Version; ; version++ {
				if version > 0 && err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if err = apply(db, id, version); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				if _, err := fmt.Fprintf(os.Stdout, "%d %d\n", worker, version+1); err != nil {
					os.Exit(1)
				}
			}
		})
	}
	wg.Wait()
}

func TestAcknowledgedWritesSurviveKill(t *testing.T) {
	dir := t.TempDir()
	acknowledged := make([]int64, crashWorkers)
	total, rounds := 0, 5
	for round := range rounds {
		total += killed(t, dir, 200+131*round, acknowledged)
		db := open(t, dir) // the lock of the killed process is gone
		extra := 0
		for worker, last := range acknowledged {
			doc, err := db.Load(context.Background(), "player", fmt.Sprint("w", worker))
			if err != nil && last > 0 {
				t.Fatal(err)
			}
			// One write of each may have got in whose acknowledgement was not heard.
			if doc.Version < last || doc.Version > last+1 {
				t.Fatalf("round %d: worker %d heard of version %d, the database has %d", round, worker, last, doc.Version)
			}
			if n, m := doc.Body.Lookup("n"), doc.Body.Lookup("m"); doc.Exists() && (n.Int64() != doc.Version || m.Int64() != doc.Version) {
				t.Fatalf("version %d says %s and %s", doc.Version, n, m)
			}
			extra += int(doc.Version - last)
			acknowledged[worker] = doc.Version
		}
		t.Logf("round %d: %d writes acknowledged so far, all there; %d more got in unheard", round, total, extra)
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killed runs a child until it has acknowledged so many writes and kills it; it notes the last version that each worker
// heard of and returns how many writes that were.
func killed(t *testing.T, dir string, writes int, acknowledged []int64) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^$")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	heard := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var worker int
		var version int64
		if n, err := fmt.Sscanf(lines.Text(), "%d %d", &worker, &version); n != 2 {
			break // the line that the kill cut in two
		} else if err != nil {
			t.Fatal(err)
		}
		acknowledged[worker] = max(acknowledged[worker], version)
		if heard++; heard == writes {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || heard < writes {
		t.Fatalf("the child ended by itself after %d writes: %v", heard, err)
	}
	return heard
}

// script changes a database file behind our back.
func script(t *testing.T, path, text string) {
	t.Helper()
	connector, err := engine.NewConnector(path)
	if err != nil {
		t.Fatal(err)
	}
	db := sql.OpenDB(connector)
	if _, err := db.Exec(text); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}
