//go:build unix

package sqlite_test

import (
	"context"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

const fullDisk = "SKUA_TEST_SQLITE_FULL"

// A process of its own, because a limit on the size of files is the process's.
func TestFullDiskIsRetryableAndLosesNothing(t *testing.T) {
	if os.Getenv(fullDisk) == "" {
		cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFullDiskIsRetryableAndLosesNothing$", "-test.v")
		cmd.Env = append(os.Environ(), fullDisk+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	signal.Ignore(syscall.SIGXFSZ)
	dir := t.TempDir()
	db := open(t, dir)
	put(t, db, "small", 0)

	info, err := os.Stat(filepath.Join(dir, "store.db-wal"))
	if err != nil {
		t.Fatal(err)
	}
	lift := limitFiles(t, uint64(info.Size())+64<<10)
	raw, err := bson.Marshal(bson.D{{Key: "data", Value: make([]byte, 1<<20)}})
	if err != nil {
		t.Fatal(err)
	}
	batch := []store.Write{
		{Kind: "player", ID: "other", Nonce: store.NewNonce(), Body: numbered(1)},
		{Kind: "player", ID: "big", Nonce: store.NewNonce(), Body: raw},
	}
	for range 3 {
		if _, err := db.Apply(context.Background(), batch); !store.Retryable(err) {
			t.Fatalf("on a full disk: got %v", err)
		}
		if doc, err := db.Load(context.Background(), "player", "other"); err == nil {
			t.Fatalf("half of a lost transaction is there: version %d", doc.Version)
		}
	}
	lift()
	errs, err := db.Apply(context.Background(), batch)
	if err != nil || errs[0] != nil || errs[1] != nil {
		t.Fatalf("with room again: %v, %v", errs, err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = open(t, dir)
	for _, id := range []string{"small", "other", "big"} {
		if doc, err := db.Load(context.Background(), "player", id); err != nil || doc.Version != 1 {
			t.Errorf("%s: version %d, %v", id, doc.Version, err)
		}
	}
}

func limitFiles(t *testing.T, bytes uint64) (lift func()) {
	t.Helper()
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	low := old
	low.Cur = bytes
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &low); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
			t.Fatal(err)
		}
	}
}
