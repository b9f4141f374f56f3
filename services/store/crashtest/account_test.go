package crashtest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// life is what one player's owner has said in one life of its node.
type life struct {
	open, lost bool
	from       int64           // the change that it found in the database
	times      map[int64]int64 // of the changes since
	last       int64           // of these
	commits    int             // that were acknowledged
	committed  int64           // the last change of these
	kept       int             // commits that were told to wait for the database
}

// account is what the owners of a node have said. It is an io.Writer of whole lines.
type account struct {
	mu     sync.Mutex
	heard  *sync.Cond
	lives  []life // of each player
	failed bool
}

func newAccount(players int) *account {
	a := &account{lives: make([]life, players)}
	a.heard = sync.NewCond(&a.mu)
	return a
}

func (a *account) Write(lines []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	defer a.heard.Broadcast()
	for line := range bytes.Lines(lines) {
		var what byte
		var id int
		var n, at int64
		if _, err := fmt.Sscanf(string(line), "%c %d %d %d", &what, &id, &n, &at); err != nil || id < 0 || id >= len(a.lives) {
			a.failed = true
			return 0, fmt.Errorf("found %q (%w), expected what an owner says", line, err)
		}
		a.note(&a.lives[id], what, n, at)
	}
	return len(lines), nil
}

func (a *account) note(l *life, what byte, n, at int64) {
	switch what {
	case opened:
		l.open, l.from, l.last, l.committed, l.times = true, n, n, n, map[int64]int64{}
	case changes:
		l.last = n
		l.times[n] = at
	case committed:
		l.committed = n
		l.commits++
	case kept:
		l.kept++
	case lost:
		l.lost = true
	default:
		a.failed = true
	}
}

// end tells those who wait that nothing more will be said.
func (a *account) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.failed = true
	a.heard.Broadcast()
}

// read shows what was said so far.
func (a *account) read(look func(lives []life)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	look(a.lives)
}

// patience is far more than any of it takes: a test that waits in vain says for what.
const patience = 2 * time.Minute

// until waits until this is so of every player.
func (a *account) until(what string, so func(i int, l *life) bool) error {
	late := false
	timer := time.AfterFunc(patience, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		late = true
		a.heard.Broadcast()
	})
	defer timer.Stop()
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := 0; i < len(a.lives); {
		switch {
		case a.failed:
			return errors.New("the node has failed before all players were " + what)
		case so(i, &a.lives[i]):
			i++
		case late:
			return fmt.Errorf("%s is not %s after %v", docID(i), what, patience)
		default:
			a.heard.Wait()
		}
	}
	return nil
}

// oracle knows what the database must have.
type oracle struct {
	testing.TB
	blank int64 // how many writes the owners do when they open a player whom there was not, without a change
	docs  []store.Doc
	ns    []int64
}

func newOracle(tb testing.TB, players int) *oracle {
	tb.Helper()
	return &oracle{TB: tb, docs: make([]store.Doc, players), ns: make([]int64, players)}
}

// claim takes a player over, so that nothing of an owner before can still get in, and reads it.
func (o *oracle) claim(db store.Backend, i int) (store.Doc, player) {
	o.Helper()
	doc, err := db.Claim(context.Background(), kind, docID(i), 0)
	if err != nil {
		o.Fatal(err)
	}
	return doc, read(o.TB, doc)
}

// read gives the content of a player's document, after a look whether it is one that the player has had. There may be none.
func read(tb testing.TB, doc store.Doc) (p player) {
	tb.Helper()
	if !doc.Exists() {
		return p
	}
	if err := bson.Unmarshal(doc.Body, &p); err != nil {
		tb.Errorf("%s: %v", doc.ID, err)
	}
	if err := p.torn(); err != nil {
		tb.Errorf("%s, version %d, is torn: %v", doc.ID, doc.Version, err)
	}
	return p
}

// findings are of one life of a node.
type findings struct {
	commits, kept, changes, saved, gone int           // acknowledged; told to wait; made; saved without a commit; lost, none of them acknowledged
	oldest                              time.Duration // how old the oldest lost one was at the end
}

func (f *findings) add(g findings) {
	f.commits, f.kept, f.changes, f.saved, f.gone = f.commits+g.commits, f.kept+g.kept, f.changes+g.changes, f.saved+g.saved, f.gone+g.gone
	f.oldest = max(f.oldest, g.oldest)
}

// judge holds the database against the account of a life that ended then.
func (o *oracle) judge(db store.Backend, a *account, end time.Time) (f findings) {
	o.Helper()
	for i := range a.lives {
		l, before := &a.lives[i], o.docs[i]
		doc, p := o.claim(db, i)
		made, blank := l.last-l.from, int64(0)
		if before.Version == 0 {
			blank = o.blank
		}
		switch writes := doc.Version - before.Version; {
		case l.from != o.ns[i]:
			o.Errorf("%s: its owner found change %d, the database had %d", docID(i), l.from, o.ns[i])
		case p.N < l.committed:
			o.Errorf("%s: change %d is lost, which was acknowledged; the database has %d, version %d", docID(i), l.committed, p.N, doc.Version)
		case p.N > l.last:
			o.Errorf("%s: the database has change %d, which was never made; the last one was %d", docID(i), p.N, l.last)
		case writes < int64(l.commits) || writes > made+blank || writes == 0 && p.N != l.from || writes > blank && p.N == l.from:
			o.Errorf("%s: %d writes of %d changes (of which %d are there), and %d commits were acknowledged", docID(i), writes, made, p.N-l.from, l.commits)
		case doc.Epoch != before.Epoch+2:
			o.Errorf("%s: epoch %d after two claims since %d", docID(i), doc.Epoch, before.Epoch)
		}
		f.commits += l.commits
		f.kept += l.kept
		f.changes += int(made)
		f.saved += int(max(0, p.N-l.committed))
		f.gone += int(l.last - p.N)
		if at, ok := l.times[p.N+1]; ok {
			f.oldest = max(f.oldest, end.Sub(time.Unix(0, at)))
		}
		o.docs[i], o.ns[i] = doc, p.N
	}
	return f
}
