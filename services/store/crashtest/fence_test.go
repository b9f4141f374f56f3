package crashtest_test

import (
	"context"
	"io"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// held is a way to a database that can be held: what is asked meanwhile gets there later.
type held struct {
	store.Backend
	pause sync.RWMutex
}

func (h *held) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	h.pause.RLock()
	defer h.pause.RUnlock()
	return h.Backend.Apply(ctx, writes)
}

// A node is paused while its owners play, another one takes all players over and plays on, then the first wakes up.
func TestAPausedNodeWritesNothingWhenItWakesUp(t *testing.T) {
	t.Run("embedded", func(t *testing.T) {
		db, err := open(filepath.Join(t.TempDir(), "store"))
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, db)
		first := &held{Backend: db}
		stale := newAccount()
		sys, err := node("first", first, stale, io.Discard) // its log tells of each player that it has lost
		defer shut(t, sys)
		if err != nil {
			t.Fatal(err)
		}
		fence(t, db, stale, first.pause.Lock, first.pause.Unlock)
	})
	t.Run("mongo", func(t *testing.T) { // two processes, which can't share an embedded one
		where := mongoDB(t)
		db, err := open(where)
		if err != nil {
			t.Fatal(err)
		}
		defer closed(t, db)
		stale := newAccount()
		first, done := begin(t, where, stale)
		defer func() {
			if err := first.Kill(); err != nil {
				t.Error(err)
			}
			done()
		}()
		signal := func(s syscall.Signal) func() {
			return func() {
				if err := first.Signal(s); err != nil {
					t.Error(err)
				}
			}
		}
		fence(t, db, stale, signal(syscall.SIGSTOP), signal(syscall.SIGCONT))
	})
}

// fence has a second node take over from one that speaks to stale.
func fence(t *testing.T, db store.Backend, stale *account, pause, resume func()) {
	t.Helper()
	if err := stale.until("played", func(l *life) bool { return l.commits >= 2 }); err != nil {
		t.Fatal(err)
	}
	pause()
	fresh := newAccount()
	sys, err := node("second", db, fresh, t.Output())
	if err == nil {
		err = fresh.until("taken over", func(l *life) bool { return l.commits >= 2 })
	}
	resume()
	if err == nil {
		err = stale.until("lost to the second node", func(l *life) bool { return l.lost })
	}
	if err == nil {
		more := map[*life]int{}
		fresh.mu.Lock()
		for i := range fresh.lives {
			more[&fresh.lives[i]] = fresh.lives[i].commits + 2
		}
		fresh.mu.Unlock()
		err = fresh.until("played on", func(l *life) bool { return l.commits >= more[l] })
	}
	shut(t, sys) // cleanly: all is written
	if err != nil {
		t.Fatal(err)
	}
	o := &oracle{TB: t}
	unsaved := 0
	for i := range players {
		doc, p := o.claim(db, i)
		was, is := &stale.lives[i], &fresh.lives[i]
		if is.lost || p.By != "second" || p.N != is.last || is.from < was.committed || is.from > was.last {
			t.Errorf("%s: the first node committed %d and made %d, the second began at %d and made %d (lost: %v), the database has %d by %s, version %d",
				docID(i), was.committed, was.last, is.from, is.last, is.lost, p.N, p.By, doc.Version)
		}
		unsaved += int(was.last - is.from)
	}
	t.Logf("the first node made %d changes of %d players that it then could not write; the second node's are all there", unsaved, players)
}

func shut(t *testing.T, sys *actor.System) {
	t.Helper()
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}

func closed(t *testing.T, db store.Backend) {
	t.Helper()
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}
