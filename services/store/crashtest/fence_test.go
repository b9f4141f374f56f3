package crashtest_test

import (
	"bytes"
	"context"
	"io"
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
	for name, lua := range map[string]bool{"go": false, "lua": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			t.Run("embedded", func(t *testing.T) {
				s := embedded(t, lua)
				db, err := s.open()
				if err != nil {
					t.Fatal(err)
				}
				defer closed(t, db)
				first := &held{Backend: db}
				stale := newAccount(s.players)
				sys, err := node(setup{scene: s, name: "first", db: first, out: stale, log: io.Discard}) // its log tells of each player that it has lost
				defer shut(t, sys)
				if err != nil {
					t.Fatal(err)
				}
				fence(t, s, db, stale, first.pause.Lock, first.pause.Unlock)
			})
			t.Run("ferretdb", func(t *testing.T) { fenceProcess(t, ferretDB(t, lua)) })
			t.Run("mongo", func(t *testing.T) { fenceProcess(t, mongoDB(t, lua)) })
		})
	}
}

// fenceProcess is fence with a first node in a process of its own, which is stopped as a machine is that swaps or moves. Two can't share an embedded database.
func fenceProcess(t *testing.T, s scene) {
	t.Helper()
	db, err := s.open()
	if err != nil {
		t.Fatal(err)
	}
	defer closed(t, db)
	stale := newAccount(s.players)
	first, done := begin(t, s, stale, io.Discard)
	defer func() {
		if err := first.Kill(); err != nil {
			t.Error(err)
		}
		done()
	}()
	signal := func(sig syscall.Signal) func() {
		return func() {
			if err := first.Signal(sig); err != nil {
				t.Error(err)
			}
		}
	}
	fence(t, s, db, stale, signal(syscall.SIGSTOP), signal(syscall.SIGCONT))
}

// claimed is how many players nobody writes whom the second node takes over: their versions stay, so it is their epochs that keep the first one out.
const claimed = 3

// fence has a second node take over from one that speaks to stale.
func fence(t *testing.T, s scene, db store.Backend, stale *account, pause, resume func()) {
	t.Helper()
	if err := stale.until("played", func(_ int, l *life) bool { return l.commits >= 2 }); err != nil {
		t.Fatal(err)
	}
	pause()
	o := newOracle(t, s.players)
	for i := s.players - claimed; i < s.players; i++ {
		o.docs[i], _ = o.claim(db, i)
	}
	second := s
	second.players -= claimed
	fresh := newAccount(second.players)
	sys, err := node(setup{scene: second, name: "second", db: db, out: fresh, log: t.Output()})
	if err == nil {
		err = fresh.until("taken over", func(_ int, l *life) bool { return l.commits >= 2 })
	}
	resume()
	if err == nil {
		err = stale.until("lost to the second node", func(_ int, l *life) bool { return l.lost })
	}
	if err == nil {
		var had []int
		fresh.read(func(lives []life) {
			for i := range lives {
				had = append(had, lives[i].commits)
			}
		})
		err = fresh.until("played on", func(i int, l *life) bool { return l.commits >= had[i]+2 })
	}
	shut(t, sys) // cleanly: all is written
	if err != nil {
		t.Fatal(err)
	}
	unsaved, writes := 0, int64(0)
	stale.mu.Lock() // the first node may still be there
	defer stale.mu.Unlock()
	for i := range s.players {
		doc, p := o.claim(db, i)
		if i >= second.players {
			if had := o.docs[i]; doc.Version != had.Version || doc.Epoch != had.Epoch+1 || !bytes.Equal(doc.Body, had.Body) {
				t.Errorf("%s: the first node wrote version %d, epoch %d over version %d, epoch %d", docID(i), doc.Version, doc.Epoch, had.Version, had.Epoch)
			}
			continue
		}
		was, is := &stale.lives[i], &fresh.lives[i]
		if is.lost || p.By != "second" || p.N != is.last || is.from < was.committed || is.from > was.last || doc.Epoch != 3 {
			t.Errorf("%s: the first node committed %d and made %d, the second began at %d and made %d (lost: %v), the database has %d by %s, version %d, epoch %d",
				docID(i), was.committed, was.last, is.from, is.last, is.lost, p.N, p.By, doc.Version, doc.Epoch)
		}
		unsaved += int(was.last - is.from)
		writes += doc.Version
	}
	t.Logf("the first node made %d changes of %d players that it then could not write; the second node's are all there, in %d writes of both; players that were only claimed are as they were; all owners of the first have ended",
		unsaved, second.players, writes)
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
