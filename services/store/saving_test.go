package store_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/services/store"
)

func TestManySavesOfADocumentAreFewWritesAndTheLastOneWins(t *testing.T) {
	in(t, store.Config{Autosave: 2 * time.Second}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		for i := range 1000 {
			o.save("p0", i)
		}
		if n := len(r.db.sent()); n != 0 {
			t.Errorf("%d batches before the window was over", n)
		}
		pass(2*time.Second + time.Millisecond)
		if n := len(r.db.writes("p0")); n != 1 {
			t.Errorf("%d writes for 1,000 saves in a window", n)
		}
		if doc := r.has("p0", 999); doc.Version != 1 {
			t.Errorf("version %d", doc.Version)
		}
		if r.metric("skua_store_saves_total") != 1000 || r.metric("skua_store_writes_total") != 1 || r.metric("skua_store_pending_documents") != 0 {
			t.Error("the counters do not tell")
		}
	})
}

// Changes are due Autosave after they were made, also those of a document that changes all the time, and are then held up by a batch and their own.
func TestASaveIsDurableWithinItsTime(t *testing.T) {
	const autosave, oneBatch, tick = 500 * time.Millisecond, 130 * time.Millisecond, 2 * time.Millisecond
	in(t, store.Config{Autosave: autosave}, func(t *testing.T, r *rig) {
		durable := map[string][]time.Time{} // by document, when its nth content or a newer one was durable
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			<-time.After(oneBatch)
			errs, err := do()
			for _, w := range writes {
				for len(durable[w.ID]) <= number(w.Body) {
					durable[w.ID] = append(durable[w.ID], time.Now())
				}
			}
			return errs, err
		})
		owners := r.players(3)
		saved := map[string][]time.Time{}
		for i := range 300 { // each document at a pace of its own
			for j, o := range owners {
				if i%(3*j+1) == 0 {
					id := fmt.Sprint("p", j)
					saved[id] = append(saved[id], time.Now())
					o.save(id, len(saved[id])-1)
				}
			}
			pass(17 * time.Millisecond)
		}
		pass(time.Minute)
		worst := time.Duration(0)
		for id, times := range saved {
			if len(durable[id]) != len(times) {
				t.Fatalf("%s: %d of %d changes were written", id, len(durable[id]), len(times))
			}
			for i, at := range times {
				worst = max(worst, durable[id][i].Sub(at))
			}
		}
		t.Logf("the longest loss window was %v", worst)
		if worst > autosave+2*oneBatch+tick || worst < autosave {
			t.Errorf("a change was durable after %v only", worst)
		}
	})
}

func TestACommitIsAnsweredWhenItIsDurableAndNotBefore(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		goOn := make(chan struct{})
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-goOn
			return do()
		})
		first := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		second := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)})
		select {
		case a := <-first:
			t.Fatalf("answered before it was written: %v", a)
		default:
		}
		goOn <- struct{}{}
		if a := <-first; a.err != nil {
			t.Fatal(a.err)
		}
		r.has("p0", 1)
		synctest.Wait()
		select {
		case a := <-second:
			t.Fatalf("answered by the write before: %v", a)
		default:
		}
		goOn <- struct{}{}
		if a := <-second; a.err != nil {
			t.Fatal(a.err)
		}
		if doc := r.has("p0", 2); doc.Version != 2 {
			t.Errorf("version %d", doc.Version)
		}
	})
}

// A save that waits for its turn is overtaken by the commit behind it, and goes out with it.
func TestACommitDoesNotWaitForTheSaveBeforeIt(t *testing.T) {
	in(t, store.Config{Autosave: time.Hour}, func(t *testing.T, r *rig) {
		o := r.players(2)[0]
		o.save("p0", 1)
		began := time.Now()
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)})
		if !time.Now().Equal(began) {
			t.Errorf("it took %v", time.Since(began))
		}
		pass(2 * time.Hour)
		if n := len(r.db.writes("p0")); n != 1 {
			t.Errorf("%d writes", n)
		}
		r.has("p0", 2)
	})
}

// What comes while a batch is under way shares the next one, so batches grow with the load.
func TestCommitsOfManyOwnersShareBatches(t *testing.T) {
	in(t, store.Config{Batch: 60}, func(t *testing.T, r *rig) {
		owners := r.players(100)
		goOn := make(chan struct{})
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-goOn
			return do()
		})
		var answers []<-chan answer
		for i, o := range owners {
			answers = append(answers, o.begin(store.Commit{Kind: "player", ID: fmt.Sprint("p", i), Body: numbered(i)}))
		}
		close(goOn)
		for i, a := range answers {
			if a := <-a; a.err != nil {
				t.Fatal(a.err)
			}
			r.has(fmt.Sprint("p", i), i)
		}
		var sizes []int
		for _, b := range r.db.sent() {
			sizes = append(sizes, len(b.writes))
		}
		if slices.Sort(sizes); fmt.Sprint(sizes) != "[1 1 1 1 36 60]" { // the last two go out together
			t.Errorf("batches of %v", sizes)
		}
	})
}

func TestABatchOfLargeDocumentsIsCut(t *testing.T) {
	in(t, store.Config{Autosave: time.Second}, func(t *testing.T, r *rig) {
		owners := r.players(5)
		for i, o := range owners {
			o.must(store.Save{Kind: "player", ID: fmt.Sprint("p", i), Body: sized(6 << 20)})
		}
		pass(time.Minute)
		for _, b := range r.db.sent() {
			total := 0
			for _, w := range b.writes {
				total += len(w.Body)
			}
			if total > 16<<20 {
				t.Errorf("a batch of %d bytes", total)
			}
		}
		if n := r.metric("skua_store_writes_total"); n != 5 {
			t.Errorf("%v documents were written", n)
		}
	})
}

// Commits without a pause must not put off the saves of others.
func TestCommitsDoNotStarveSaves(t *testing.T) {
	const autosave, oneBatch = 100 * time.Millisecond, 10 * time.Millisecond
	in(t, store.Config{Autosave: autosave, Batch: 2}, func(t *testing.T, r *rig) {
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-time.After(oneBatch)
			return do()
		})
		owners := r.players(11)
		over := make(chan struct{})
		ended := make(chan struct{}, 10)
		for i, o := range owners[1:] {
			go func() {
				defer func() { ended <- struct{}{} }()
				for n := 0; ; n++ {
					select {
					case <-over:
						return
					default:
					}
					if _, err := o.ask(store.Commit{Kind: "player", ID: fmt.Sprint("p", i+1), Body: numbered(n)}); err != nil {
						t.Error(err)
						return
					}
				}
			}()
		}
		pass(time.Second)
		owners[0].save("p0", 7)
		// Before it in the line are at most the ten commits that were due earlier.
		pass(autosave + 8*oneBatch)
		r.has("p0", 7)
		close(over)
		for range 10 {
			<-ended
		}
	})
}

func TestContentThatCanNotBeKeptIsRefusedAtOnce(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		for want, body := range map[error][]byte{store.ErrInvalid: []byte("no BSON"), store.ErrTooLarge: sized(store.MaxBody + 1)} {
			for _, msg := range []any{store.Save{Kind: "player", ID: "p0", Body: body}, store.Commit{Kind: "player", ID: "p0", Body: body}} {
				if _, err := o.ask(msg); !errors.Is(err, want) {
					t.Errorf("%T: got %v, want %v", msg, err, want)
				}
			}
		}
		if _, err := o.ask("hello"); err == nil || err.Error() != "store: string is no message of the store" {
			t.Errorf("got %v", err)
		}
	})
}

// A document that the database refuses is no matter of the others, and its owner may mend it.
func TestADocumentThatTheDatabaseRefusesHoldsUpNobody(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		refusal := &store.InvalidError{What: "player/p0", Reason: "the collection's validator says no"}
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			if writes[0].ID == "p0" && number(writes[0].Body) == 13 {
				return []error{refusal}, nil
			}
			return do()
		})
		if _, err := owners[0].ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(13)}); !errors.Is(err, store.ErrInvalid) {
			t.Fatalf("got %v", err)
		}
		owners[1].must(store.Commit{Kind: "player", ID: "p1", Body: numbered(1)})
		owners[0].must(store.Commit{Kind: "player", ID: "p0", Body: numbered(14)})
		r.has("p0", 14)
		if r.metric("skua_store_refused_total") != 1 || r.log.Count("write refused") != 1 || r.log.Count("validator says no") != 1 {
			t.Error("the operator does not hear of it")
		}
	})
}

// A database may leave out single writes of a batch; that is no outage.
func TestWritesThatWereLeftOutAreTriedAgain(t *testing.T) {
	in(t, store.Config{Autosave: time.Second}, func(t *testing.T, r *rig) {
		owners := r.players(3)
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			if len(r.db.sent()) > 1 {
				return do()
			}
			results, err := r.db.Backend.Apply(t.Context(), writes[:1])
			for range writes[1:] {
				results = append(results, away("write"))
			}
			return results, err
		})
		for i, o := range owners {
			o.save(fmt.Sprint("p", i), i)
		}
		pass(2 * time.Second)
		for i := range owners {
			r.has(fmt.Sprint("p", i), i)
		}
		if len(r.db.sent()) != 2 || r.metric("skua_store_retries_total") != 2 || r.metric("skua_store_database_down") != 0 || r.log.Count("database unavailable") != 0 {
			t.Errorf("%d batches, %v retries", len(r.db.sent()), r.metric("skua_store_retries_total"))
		}
	})
}

func TestABackendThatMiscountsDoesNotEndTheStore(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			switch len(r.db.sent()) {
			case 1:
				_, err := do()
				return nil, err
			case 2:
				panic("a defect")
			}
			return do()
		})
		if _, err := o.ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("got %v", err)
		}
		pass(time.Second)
		r.has("p0", 1)
		if r.log.Count("0 results for 1 writes") != 1 || r.log.Count("a defect") != 1 {
			t.Error("the log does not tell")
		}
	})
}
