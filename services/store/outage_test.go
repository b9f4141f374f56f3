package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

func TestPlayersPlayOnWhileTheDatabaseIsAwayAndNothingIsLost(t *testing.T) {
	in(t, store.Config{Autosave: 200 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(3)
		back := r.db.cut()
		owners[0].save("p0", 1)
		pass(time.Second)
		if r.metric("skua_store_database_down") != 1 {
			t.Fatal("the gauge does not tell that the database is away")
		}
		// Nobody waits for what can't be done now.
		began := time.Now()
		if _, err := owners[1].ask(store.Commit{Kind: "player", ID: "p1", Body: numbered(1)}); !errors.Is(err, store.ErrUnavailable) ||
			err.Error() != "store: unavailable: commit player/p1 (kept until the database is back): connection refused" {
			t.Errorf("a commit got %v", err)
		}
		if _, err := owners[1].ask(store.Claim{Kind: "player", ID: "somebody"}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("a claim got %v", err)
		}
		if !time.Now().Equal(began) {
			t.Errorf("they waited %v", time.Since(began))
		}
		for i := 2; i <= 10; i++ {
			owners[0].save("p0", i)
			owners[2].save("p2", i)
			if doc := owners[1].must(store.Load{Kind: "player", ID: "p2"}).(store.Doc); number(doc.Body) != i {
				t.Errorf("a load sees %d", number(doc.Body))
			}
			pass(time.Second)
		}
		retries := r.metric("skua_store_retries_total")
		attempts := len(r.db.sent())
		if retries < 3 || r.log.Count("database unavailable") != attempts || r.log.Count("connection refused") != attempts {
			t.Errorf("%d attempts, %v retries, the log:\n%s", attempts, retries, r.log)
		}
		back()
		pass(10 * time.Second)
		for id, n := range map[string]int{"p0": 10, "p1": 1, "p2": 10} {
			r.has(id, n)
		}
		if r.metric("skua_store_database_down") != 0 || r.metric("skua_store_pending_documents") != 0 || r.log.Count("database is back") != 1 {
			t.Errorf("it is not told that the database is back:\n%s", r.log)
		}
		began = time.Now()
		owners[1].must(store.Commit{Kind: "player", ID: "p1", Body: numbered(2)})
		if !time.Now().Equal(began) {
			t.Error("a commit waits for an outage that is over")
		}
	})
}

// A batch that hangs has others waiting behind it. When it fails they all hear so.
func TestCommitsThatWaitHearOfAnOutage(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		fail := make(chan struct{})
		r.db.onApply(func([]store.Write, func() ([]error, error)) ([]error, error) {
			<-fail
			return nil, away("apply")
		})
		var waiting []<-chan answer
		for _, n := range []int{1, 2} {
			waiting = append(waiting,
				owners[0].begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(n)}), // in the batch, and behind it
				owners[1].begin(store.Commit{Kind: "player", ID: "p1", Body: numbered(n)})) // queued
		}
		close(fail)
		synctest.Wait()
		for i, a := range waiting {
			select {
			case a := <-a:
				if !errors.Is(a.err, store.ErrUnavailable) {
					t.Errorf("commit %d got %v", i, a.err)
				}
			default:
				t.Errorf("commit %d still waits", i)
			}
		}
		r.db.onApply(nil)
		pass(time.Minute)
		r.has("p0", 2)
		r.has("p1", 2)
	})
}

func TestRetriesBackOffWithJitterUpToABound(t *testing.T) {
	const first, most = 100 * time.Millisecond, 5 * time.Second
	in(t, store.Config{Retry: first}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		back := r.db.cut()
		_, _ = o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		pass(2 * time.Minute)
		sent := r.db.sent()
		pauses := map[time.Duration]bool{}
		for i := 1; i < len(sent); i++ {
			pause, want := sent[i].at.Sub(sent[i-1].at), min(first<<min(i-1, 10), most)
			if pause < want/2 || pause > want+2*time.Millisecond {
				t.Errorf("pause %d is %v, not %v to %v", i, pause, want/2, want)
			}
			pauses[pause] = true
		}
		if len(sent) < 20 || len(pauses) < 15 {
			t.Errorf("%d attempts with %d different pauses", len(sent), len(pauses))
		}
		back()
		pass(most + time.Second)
		r.has("p0", 1)
	})
}

// The answer is lost after the work was done: nobody knows, so the same write goes out again, and only then what has changed since.
func TestAWriteWhoseOutcomeIsNotKnownIsRepeatedAsItWas(t *testing.T) {
	in(t, store.Config{Autosave: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		lost := 0
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			errs, err := do()
			if lost++; lost <= 3 {
				return nil, away("apply")
			}
			return errs, err
		})
		_, err := o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		if !errors.Is(err, store.ErrUnavailable) {
			t.Fatal(err)
		}
		o.save("p0", 2)
		o.save("p0", 3)
		pass(time.Minute)
		writes := r.db.writes("p0")
		if len(writes) != 5 {
			t.Fatalf("%d writes", len(writes))
		}
		for i, w := range writes[:4] {
			if w.Nonce != writes[0].Nonce || w.Version != 0 || number(w.Body) != 1 {
				t.Errorf("try %d is another write: %+v", i+1, w)
			}
		}
		if last := writes[4]; last.Nonce == writes[0].Nonce || last.Version != 1 || number(last.Body) != 3 {
			t.Errorf("what came after is %+v", last)
		}
		if doc := r.has("p0", 3); doc.Version != 2 {
			t.Errorf("version %d: a write counted twice", doc.Version)
		}
	})
}

func TestFurtherDocumentsAreRefusedWhenTooManyWait(t *testing.T) {
	in(t, store.Config{MaxPending: 3, Autosave: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(4)
		back := r.db.cut()
		for i, o := range owners[:3] {
			o.save(fmt.Sprint("p", i), 0)
		}
		pass(time.Second)
		for _, msg := range []any{store.Save{Kind: "player", ID: "p3", Body: numbered(1)}, store.Commit{Kind: "player", ID: "p3", Body: numbered(1)}} {
			if _, err := owners[3].ask(msg); !errors.Is(err, actor.ErrOverloaded) || !strings.Contains(err.Error(), "3 documents wait for the database") {
				t.Errorf("%T got %v", msg, err)
			}
		}
		// Those that wait may change as often as they like: it takes no more memory than the newest content and the write that is being tried.
		for n := 1; n <= 1000; n++ {
			for i, o := range owners[:3] {
				o.save(fmt.Sprint("p", i), n)
			}
		}
		back()
		pass(time.Minute)
		for i := range owners[:3] {
			id := fmt.Sprint("p", i)
			r.has(id, 1000)
			distinct := map[int64]bool{}
			for _, w := range r.db.writes(id) {
				distinct[w.Nonce] = true
			}
			if len(distinct) > 2 {
				t.Errorf("%d contents of %s were kept", len(distinct), id)
			}
		}
		owners[3].must(store.Commit{Kind: "player", ID: "p3", Body: numbered(1)})
	})
}

// Reads may find a database that is away, but not so many of them that they take the threads which the retries need.
func TestFewReadsAskADatabaseThatIsAway(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		back := r.db.cut()
		_, _ = o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		hang := make(chan struct{})
		r.db.mu.Lock()
		r.db.load = func(do func() (store.Doc, error)) (store.Doc, error) {
			<-hang
			return do()
		}
		r.db.mu.Unlock()
		var waiting []<-chan answer
		refused := 0
		for i := range 100 {
			a := o.begin(store.Load{Kind: "player", ID: fmt.Sprint("x", i)})
			select {
			case a := <-a:
				if !errors.Is(a.err, store.ErrUnavailable) {
					t.Fatal(a.err)
				}
				refused++
			default:
				waiting = append(waiting, a)
			}
		}
		if len(waiting) != 8 || refused != 92 {
			t.Errorf("%d reads wait, %d were refused", len(waiting), refused)
		}
		close(hang)
		for _, a := range waiting {
			if a := <-a; !errors.Is(a.err, store.ErrNotFound) {
				t.Errorf("got %v", a.err)
			}
		}
		back()
		pass(time.Minute)
	})
}

// A database that hangs, refuses, loses answers and leaves writes out, at random: what was acknowledged is there at every moment, in order, and in the end so is all.
func TestNothingAcknowledgedIsLostHoweverTheDatabaseBehaves(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	in(t, store.Config{Autosave: 40 * time.Millisecond, Batch: 7, Timeout: 300 * time.Millisecond, Retry: 5 * time.Millisecond}, func(t *testing.T, r *rig) {
		db := rand.New(rand.NewPCG(seed, 0))
		var mu sync.Mutex
		dice := func(n int) int {
			mu.Lock()
			defer mu.Unlock()
			return db.IntN(n)
		}
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			<-time.After(time.Duration(dice(20)) * time.Millisecond)
			switch dice(5) {
			case 0:
				return nil, away("apply")
			case 1:
				_, _ = do()
				return nil, away("apply")
			case 2:
				half := len(writes) / 2
				errs, err := r.db.Backend.Apply(t.Context(), writes[:half])
				for range writes[half:] {
					errs = append(errs, away("write"))
				}
				return errs, err
			}
			return do()
		})
		owners := r.players(20)
		acked, handed := make([]int, len(owners)), make([]int, len(owners))
		ended := make(chan struct{}, len(owners))
		for i, o := range owners {
			play := rand.New(rand.NewPCG(seed, uint64(i)+1))
			go func() {
				defer func() { ended <- struct{}{} }()
				id := fmt.Sprint("p", i)
				for n := 1; n <= 100; n++ {
					handed[i] = n
					if play.IntN(3) > 0 {
						o.save(id, n)
					} else if _, err := o.ask(store.Commit{Kind: "player", ID: id, Body: numbered(n)}); err == nil {
						acked[i] = n
						if doc, err := r.db.Backend.Load(t.Context(), "player", id); err != nil || number(doc.Body) < n {
							t.Errorf("%s: %d was acknowledged, the database has %v, %v", id, n, doc.Body, err)
						}
					} else if !errors.Is(err, store.ErrUnavailable) {
						t.Errorf("%s: %v", id, err)
					}
					<-time.After(time.Duration(play.IntN(30)) * time.Millisecond)
				}
			}()
		}
		for range owners {
			<-ended
		}
		r.db.onApply(nil)
		pass(time.Minute)
		commits := 0
		for i := range owners {
			id := fmt.Sprint("p", i)
			doc := r.has(id, handed[i])
			commits += min(acked[i], 1)
			// One base version has one content, and contents follow each other in the order in which they were handed in.
			var last store.Write
			distinct := int64(0)
			for _, w := range r.db.writes(id) {
				switch {
				case w.Nonce == last.Nonce:
					if w.Version != last.Version || !bytes.Equal(w.Body, last.Body) {
						t.Fatalf("%s: a retry differs: %+v, %+v", id, last, w)
					}
				case w.Version != distinct || number(w.Body) <= number(last.Body) && distinct > 0:
					t.Fatalf("%s: %+v came after %+v", id, w, last)
				default:
					distinct++
				}
				last = w
			}
			if doc.Version != distinct {
				t.Errorf("%s: version %d after %d writes", id, doc.Version, distinct)
			}
		}
		if commits == 0 {
			t.Error("no commit was acknowledged: this shows nothing")
		}
	})
}
