package filelock_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/skua-go/skua/internal/filelock"
)

func TestOnlyOneHoldsTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	first, err := filelock.Try(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = filelock.Try(path)
	if !errors.Is(err, filelock.ErrHeld) || !strings.Contains(err.Error(), "process "+strconv.Itoa(os.Getpid())) {
		t.Fatalf("the second got %v, want ErrHeld with the holder's process id", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	again, err := filelock.Try(path)
	if err != nil {
		t.Fatalf("after a release: %v", err)
	}
	if err := again.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestWaitGetsTheFileInTurn(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	const rounds, goroutines = 50, 4
	var inside, turns atomic.Int64
	errs := make(chan error, goroutines)
	for range goroutines {
		go func() {
			for range rounds {
				lock, err := filelock.Wait(path)
				if err != nil {
					errs <- err
					return
				}
				if n := inside.Add(1); n != 1 {
					errs <- fmt.Errorf("%d hold the file", n)
					return
				}
				turns.Add(1)
				inside.Add(-1)
				if err := lock.Release(); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
	if turns.Load() != rounds*goroutines {
		t.Fatalf("%d turns, want %d", turns.Load(), rounds*goroutines)
	}
}
