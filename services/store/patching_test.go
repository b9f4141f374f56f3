package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/storetest"
)

// profile is a document of some size whose number is n.
func profile(n int, more ...bson.E) bson.Raw {
	d := append(bson.D{{Key: "n", Value: int64(n)}, {Key: "text", Value: strings.Repeat("t", 1000)}}, more...)
	raw, err := bson.Marshal(d)
	if err != nil {
		panic(err) // it can be encoded
	}
	return raw
}

func TestWhatChangedIsSentAndNothingElse(t *testing.T) {
	in(t, store.Config{Autosave: time.Second}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		for n := 1; n <= 5; n++ {
			o.must(store.Save{Kind: "player", ID: "p0", Body: profile(n)})
			pass(2 * time.Second)
			r.has("p0", n)
		}
		writes := r.db.writes("p0")
		if len(writes) != 5 || writes[0].Patch != nil {
			t.Fatalf("%d writes, the first %v", len(writes), writes[0].Patch)
		}
		for i, w := range writes[1:] {
			if w.Patch == nil || text(w.Patch) != fmt.Sprintf(`n={"$numberLong":"%d"}`, i+2) || number(w.Body) != i+2 {
				t.Errorf("write %d: %s", i+1, text(w.Patch))
			}
		}
		if body, sent := r.metric("skua_store_body_bytes_total"), r.metric("skua_store_sent_bytes_total"); body < 5000 || sent > 1300 {
			t.Errorf("%v bytes sent of %v", sent, body)
		}
		if r.metric("skua_store_patches_total") != 4 {
			t.Error("the patches are not counted")
		}
	})
}

// A patch is based on what the database has, however often the content changed and whatever became of the writes in between.
func TestAPatchIsBasedOnWhatTheDatabaseHas(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond, Retry: 5 * time.Millisecond}, func(t *testing.T, r *rig) {
		m := storetest.NewMaker(5)
		calls := 0
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			<-time.After(3 * time.Millisecond)
			switch calls++; calls % 4 {
			case 1:
				return nil, away("apply")
			case 2:
				_, _ = do()
				return nil, away("apply")
			}
			for _, w := range writes {
				had, err := r.db.Backend.Load(t.Context(), "player", w.ID)
				if w.Patch == nil || had.Version != w.Version {
					continue
				}
				if err != nil {
					t.Error(err)
				} else if got, err := w.Patch.Apply(had.Body); err != nil || !storetest.SameContent(t, got, w.Body) {
					t.Errorf("%s leads to %v, %v; want %v", text(w.Patch), got, err, w.Body)
				}
			}
			return do()
		})
		o := r.players(1)[0]
		d := append(m.Document(), filler())
		var last bson.Raw
		for range 300 {
			d = m.Change(d)
			last = raw(t, d)
			o.must(store.Save{Kind: "player", ID: "p0", Body: last})
			pass(time.Duration(m.IntN(8)) * time.Millisecond)
		}
		r.db.onApply(nil)
		pass(time.Minute)
		doc, err := r.db.Backend.Load(t.Context(), "player", "p0")
		if err != nil || !storetest.SameContent(t, doc.Body, last) {
			t.Errorf("got %v, %v; want %v", doc.Body, err, last)
		}
		if r.metric("skua_store_patches_total") < 20 {
			t.Error("hardly any patches: this shows nothing")
		}
	})
}

func TestContentThatTheDatabaseHasIsNotWritten(t *testing.T) {
	in(t, store.Config{Autosave: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		o.must(store.Delete{Kind: "player", ID: "p0"}) // there is none
		o.must(store.Commit{Kind: "player", ID: "p0", Body: raw(t, bson.D{{Key: "n", Value: int64(1)}, {Key: "b", Value: "x"}})})
		o.must(store.Commit{Kind: "player", ID: "p0", Body: raw(t, bson.D{{Key: "b", Value: "x"}, {Key: "n", Value: int64(1)}})}) // in another order
		o.save("p0", 2)
		o.must(store.Save{Kind: "player", ID: "p0", Body: raw(t, bson.D{{Key: "n", Value: int64(1)}, {Key: "b", Value: "x"}})}) // and back
		pass(time.Second)
		if n := len(r.db.writes("p0")); n != 1 || r.metric("skua_store_unchanged_total") != 3 || r.metric("skua_store_pending_documents") != 0 {
			t.Errorf("%d writes, %v unchanged", n, r.metric("skua_store_unchanged_total"))
		}
		if doc := r.has("p0", 1); doc.Version != 1 {
			t.Errorf("version %d", doc.Version)
		}
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(3)})
		if doc := r.has("p0", 3); doc.Version != 2 {
			t.Errorf("version %d", doc.Version)
		}
	})
}

func TestADeletedDocumentIsGoneAndCanBeMadeAnew(t *testing.T) {
	in(t, store.Config{Autosave: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		o, other := r.players(1)[0], r.owner()
		o.must(store.Commit{Kind: "player", ID: "p0", Body: profile(1)})
		if _, err := other.ask(store.Delete{Kind: "player", ID: "p0"}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("another's delete: %v", err)
		}
		o.save("p0", 5) // which the delete overtakes
		o.must(store.Delete{Kind: "player", ID: "p0"})
		pass(time.Second)
		if doc, err := r.db.Backend.Load(t.Context(), "player", "p0"); !errors.Is(err, store.ErrNotFound) || doc.Version != 2 {
			t.Errorf("got %v, %v", doc, err)
		}
		if _, err := other.ask(store.Load{Kind: "player", ID: "p0"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		o.must(store.Commit{Kind: "player", ID: "p0", Body: profile(6)})
		o.must(store.Commit{Kind: "player", ID: "p0", Body: profile(7)})
		if doc := r.has("p0", 7); doc.Version != 4 {
			t.Errorf("version %d", doc.Version)
		}
	})
}

func TestAnOwnerMayHandInAPatch(t *testing.T) {
	in(t, store.Config{Autosave: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		p := store.Diff(profile(1), profile(2))
		amend := store.Amend{Kind: "player", ID: "p0", Patch: *p}
		if _, err := o.ask(amend); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("of nothing: %v", err)
		}
		o.must(store.Save{Kind: "player", ID: "p0", Body: profile(1)})
		o.must(amend)
		pass(time.Second)
		r.has("p0", 2)
		amend.Patch, amend.Commit = *store.Diff(profile(2), profile(3)), true
		o.must(amend)
		r.has("p0", 3)
		amend.Patch = store.Patch{Unset: []string{"nothing"}}
		if _, err := o.ask(amend); !errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), `player/p0`) {
			t.Errorf("a patch that does not fit: %v", err)
		}
		if _, err := r.owner().ask(amend); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("another's: %v", err)
		}
	})
}

func TestASaveMayAskToBeWrittenSooner(t *testing.T) {
	in(t, store.Config{Autosave: 2 * time.Second}, func(t *testing.T, r *rig) {
		o := r.players(2)[0]
		began := time.Now()
		o.must(store.Save{Kind: "player", ID: "p0", Body: numbered(1), Within: 500 * time.Millisecond})
		pass(5 * time.Second)
		o.must(store.Save{Kind: "player", ID: "p0", Body: numbered(2), Within: time.Hour}) // no later than the window
		pass(5 * time.Second)
		sent := r.db.sent()
		if len(sent) != 2 || sent[0].at.Sub(began) != 500*time.Millisecond || sent[1].at.Sub(began) != 7*time.Second {
			t.Errorf("%d batches, at %v and %v", len(sent), sent[0].at.Sub(began), sent[len(sent)-1].at.Sub(began))
		}
	})
}

// A commit does not wait for the batch before it, nor for that of saves; writes of one document stay in order.
func TestCommitsDoNotWaitForBatchesOfOthers(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(6)
		hold := make(chan struct{})
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			if writes[0].ID == "p0" || writes[0].ID == "p1" {
				<-hold
			}
			return do()
		})
		owners[0].save("p0", 1)
		pass(time.Second)
		slow := owners[1].begin(store.Commit{Kind: "player", ID: "p1", Body: numbered(1)})
		owners[2].must(store.Commit{Kind: "player", ID: "p2", Body: numbered(1)})
		behind := owners[0].begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)})
		owners[3].save("p3", 1) // saves wait for the batch that is under way
		pass(time.Second)
		if n := len(r.db.writes("p0")) + len(r.db.writes("p3")); n != 1 {
			t.Errorf("%d writes", n)
		}
		owners[4].must(store.Commit{Kind: "player", ID: "p4", Body: numbered(1)})
		if len(r.db.writes("p3")) != 0 {
			t.Error("a save makes the batch of a commit larger")
		}
		close(hold)
		for _, a := range []<-chan answer{slow, behind} {
			if a := <-a; a.err != nil {
				t.Error(a.err)
			}
		}
		pass(time.Second)
		r.has("p0", 2)
		r.has("p3", 1)
	})
}

// The first owner's node is paused; meanwhile the second takes over. What the first sends when it wakes up changes nothing, and it hears why.
func TestAPausedOwnersWritesAreFenced(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, first *rig) {
		second := first.sibling(store.Config{Autosave: 10 * time.Millisecond})
		defer second.stop()
		o := first.players(1)[0]
		o.must(store.Commit{Kind: "player", ID: "p0", Body: profile(1)})
		wake := make(chan struct{})
		first.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-wake
			return do()
		})
		late := o.begin(store.Commit{Kind: "player", ID: "p0", Body: profile(666)})
		taken := second.owner()
		if doc := taken.claim("p0"); number(doc.Body) != 1 || doc.Epoch != 2 {
			t.Fatalf("got %v", doc)
		}
		taken.must(store.Commit{Kind: "player", ID: "p0", Body: profile(2)})
		close(wake)
		if a := <-late; !errors.Is(a.err, store.ErrFenced) {
			t.Errorf("got %v", a.err)
		}
		if lost := <-o.lost; !errors.Is(lost.Err, store.ErrFenced) {
			t.Errorf("got %v", lost)
		}
		taken.must(store.Commit{Kind: "player", ID: "p0", Body: profile(3)})
		if doc := first.has("p0", 3); doc.Version != 3 || doc.Epoch != 2 {
			t.Errorf("version %d of epoch %d", doc.Version, doc.Epoch)
		}
	})
}

func TestBytesThatWaitAreBounded(t *testing.T) {
	const limit = 1 << 20
	in(t, store.Config{MaxPendingBytes: limit, Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(12)
		back := r.db.cut()
		var refused error
		full := 0
		for i, o := range owners {
			if _, err := o.ask(store.Save{Kind: "player", ID: fmt.Sprint("p", i), Body: sized(100_000)}); err != nil {
				refused = err
				break
			}
			full++
		}
		if full != 10 || refused == nil || refused.Error() != "actor: store: overloaded: documents of 1000000 bytes wait for the database" {
			t.Fatalf("after %d documents: %v", full, refused)
		}
		if r.log.Count("more than half of what may wait for the database does") != 1 || r.metric("skua_store_pending_bytes") != 1_000_000 {
			t.Errorf("the operator does not hear of it: %v", r.metric("skua_store_pending_bytes"))
		}
		// What makes it no more may change.
		pass(time.Second)
		owners[11].save("p11", 1)
		if _, err := owners[0].ask(store.Save{Kind: "player", ID: "p0", Body: sized(200_000)}); err == nil {
			t.Error("a document may grow")
		}
		back()
		pass(time.Minute)
		if r.metric("skua_store_pending_bytes") != 0 || r.metric("skua_store_overloaded_total") != 2 {
			t.Errorf("%v bytes wait, %v refused", r.metric("skua_store_pending_bytes"), r.metric("skua_store_overloaded_total"))
		}
		owners[10].must(store.Commit{Kind: "player", ID: "p10", Body: sized(900_000)})
	})
}

// Commits are answered late while much waits, so that who waits for them makes less.
func TestCommitsAreSlowedDownWhileMuchWaits(t *testing.T) {
	in(t, store.Config{MaxPendingBytes: 1 << 20, Autosave: time.Second}, func(t *testing.T, r *rig) {
		owners := r.players(8)
		hold := make(chan struct{})
		r.db.onApply(func(writes []store.Write, do func() ([]error, error)) ([]error, error) {
			if writes[0].ID != "p7" {
				<-hold
			}
			return do()
		})
		for i, o := range owners[:7] {
			o.must(store.Save{Kind: "player", ID: fmt.Sprint("p", i), Body: sized(100_000)})
		}
		pass(1100 * time.Millisecond)
		commit := owners[7].begin(store.Commit{Kind: "player", ID: "p7", Body: numbered(1)})
		r.has("p7", 1)
		select {
		case a := <-commit:
			t.Fatalf("answered at once: %v", a)
		default:
		}
		pass(2 * time.Second)
		if a := <-commit; a.err != nil { // not longer than some time
			t.Error(a.err)
		}
		commit = owners[7].begin(store.Commit{Kind: "player", ID: "p7", Body: numbered(2)})
		close(hold)
		began := time.Now()
		if a := <-commit; a.err != nil || !time.Now().Equal(began) {
			t.Errorf("%v after %v", a.err, time.Since(began))
		}
	})
}

func TestTheOrderOfALoadedDocumentStays(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		body := raw(t, bson.D{{Key: "z", Value: 1}, {Key: "a", Value: 2}, {Key: "M", Value: 3}})
		o.must(store.Commit{Kind: "player", ID: "p0", Body: body})
		o.must(store.Release{Kind: "player", ID: "p0"})
		if doc := o.claim("p0"); !bytes.Equal(doc.Body, body) {
			t.Errorf("got %v", doc.Body)
		}
		if _, err := r.db.Backend.Load(context.Background(), "player", "p0"); err != nil {
			t.Error(err)
		}
	})
}
