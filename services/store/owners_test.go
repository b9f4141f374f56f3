package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/services/store"
)

func TestOnlyTheOwnerWrites(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o, other := r.players(1)[0], r.owner()
		for _, msg := range []any{store.Save{Kind: "player", ID: "p0", Body: numbered(9)}, store.Commit{Kind: "player", ID: "p0", Body: numbered(9)}, store.Release{Kind: "player", ID: "p0"}} {
			if _, err := other.ask(msg); !errors.Is(err, store.ErrNotOwner) {
				t.Errorf("%T by another actor: %v", msg, err)
			}
			if _, err := r.sys.Ask(t.Context(), r.store, msg); !errors.Is(err, store.ErrNotOwner) {
				t.Errorf("%T by nobody: %v", msg, err)
			}
		}
		if _, err := r.sys.Ask(t.Context(), r.store, store.Claim{Kind: "player", ID: "p0"}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("nobody claims: %v", err)
		}
		o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		r.has("p0", 1)
		if _, err := o.ask(store.Claim{Kind: "Player", ID: "x"}); !errors.Is(err, store.ErrInvalid) {
			t.Errorf("a bad kind: %v", err)
		}
	})
}

func TestANewOwnerGoesOnWhereTheOldOneWas(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		old := r.players(1)[0]
		back := r.db.cut()
		old.save("p0", 7)
		pass(3 * time.Second) // the write is tried and its outcome not known
		old.save("p0", 8)
		old.end()
		next := r.owner()
		if doc := next.claim("p0"); number(doc.Body) != 8 || doc.Epoch != 1 {
			t.Fatalf("the new owner got %v in epoch %d", doc.Body, doc.Epoch)
		}
		next.save("p0", 9)
		third := r.owner() // while the second is alive
		if doc := third.claim("p0"); number(doc.Body) != 9 {
			t.Fatalf("the third owner got %v", doc.Body)
		}
		if _, err := next.ask(store.Save{Kind: "player", ID: "p0", Body: numbered(10)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("the owner that was replaced got %v", err)
		}
		next.end() // which is nothing to the third
		third.save("p0", 11)
		back()
		pass(time.Minute)
		r.has("p0", 11)
	})
}

func TestOwnershipEndsWithTheOwnerOrItsRelease(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		first := r.players(1)[0]
		first.save("p0", 1)
		first.must(store.Release{Kind: "player", ID: "p0"})
		if _, err := first.ask(store.Save{Kind: "player", ID: "p0", Body: numbered(2)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("after its release: %v", err)
		}
		pass(time.Minute)
		r.has("p0", 1) // what it had handed in
		// Nothing of it is left on this node: the next owner asks the database, in an epoch of its own.
		second := r.owner()
		if doc := second.claim("p0"); doc.Epoch != 2 || number(doc.Body) != 1 {
			t.Fatalf("the second got %+v", doc)
		}
		second.save("p0", 2)
		second.end()
		pass(time.Minute)
		r.has("p0", 2)
		if doc := r.owner().claim("p0"); doc.Epoch != 3 || number(doc.Body) != 2 {
			t.Fatalf("the third got %+v", doc)
		}
	})
}

// holdClaims makes claims wait at the database until the function that it returns is called.
func (r *rig) holdClaims() (goOn func()) {
	hold := make(chan struct{})
	r.db.mu.Lock()
	defer r.db.mu.Unlock()
	r.db.claim = func(do func() (store.Doc, error)) (store.Doc, error) {
		doc, err := do()
		<-hold
		return doc, err
	}
	return func() { close(hold); synctest.Wait() }
}

func TestOfTwoClaimsAtATimeTheLastOneHolds(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		a, b := r.owner(), r.owner()
		goOn := r.holdClaims()
		claim := store.Claim{Kind: "player", ID: "x"}
		first, again, last, lastAgain := a.begin(claim), a.begin(claim), b.begin(claim), b.begin(claim)
		goOn()
		for _, lost := range []<-chan answer{first, again} {
			if got := <-lost; !errors.Is(got.err, store.ErrNotOwner) {
				t.Errorf("the first claim got %v", got)
			}
		}
		for _, won := range []<-chan answer{last, lastAgain} {
			if got := <-won; got.err != nil || got.v.(store.Doc).Epoch != 1 {
				t.Errorf("the last claim got %v", got)
			}
		}
		b.must(store.Commit{Kind: "player", ID: "x", Body: numbered(1)})
		if _, err := a.ask(store.Save{Kind: "player", ID: "x", Body: numbered(2)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("got %v", err)
		}
	})
}

func TestAClaimThatNobodyWaitsForOwnsNothing(t *testing.T) {
	in(t, store.Config{Timeout: time.Minute}, func(t *testing.T, r *rig) {
		goOn := r.holdClaims()
		gone := r.owner().begin(store.Claim{Kind: "player", ID: "x"})
		pass(10 * time.Second) // longer than a request waits
		if a := <-gone; a.err == nil {
			t.Fatal("there was an answer")
		}
		goOn()
		if doc := r.owner().claim("x"); doc.Epoch != 2 {
			t.Errorf("epoch %d: the store kept a document for somebody who gave up", doc.Epoch)
		}
		// An owner that ends while it waits leaves nothing behind either.
		goOn = r.holdClaims()
		ending := r.owner()
		_ = ending.begin(store.Claim{Kind: "player", ID: "y"})
		ending.end()
		goOn()
		if doc := r.owner().claim("y"); doc.Epoch != 2 {
			t.Errorf("epoch %d", doc.Epoch)
		}
	})
}

func TestAClaimThatFailsIsToldToAllWhoWaitForIt(t *testing.T) {
	in(t, store.Config{Timeout: time.Second}, func(t *testing.T, r *rig) {
		r.db.mu.Lock()
		r.db.claim = func(func() (store.Doc, error)) (store.Doc, error) {
			<-time.After(time.Second)
			return store.Doc{}, away("claim player/x")
		}
		r.db.mu.Unlock()
		claim := store.Claim{Kind: "player", ID: "x"}
		for _, a := range []<-chan answer{r.owner().begin(claim), r.owner().begin(claim)} {
			if a := <-a; !errors.Is(a.err, store.ErrUnavailable) {
				t.Errorf("got %v", a.err)
			}
		}
		r.db.mu.Lock()
		r.db.claim = nil
		r.db.mu.Unlock()
		r.owner().claim("x")
	})
}

// Another node claims the document: its owner here hears so at its next write, which changes nothing, and lives on, as it has asked to.
func TestAFencedOwnerThatHasAskedToStayHearsWhyAndChangesNothing(t *testing.T) {
	in(t, store.Config{Autosave: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
		owners := r.players(2)
		owners[0].must(store.Claim{Kind: "player", ID: "p0", IfLost: store.TellOnly}) // the last claim says
		for i, o := range owners {
			o.must(store.Commit{Kind: "player", ID: fmt.Sprint("p", i), Body: numbered(1)})
		}
		doc := r.taken("p0")
		theirs := store.Write{Kind: "player", ID: "p0", Version: doc.Version, Epoch: doc.Epoch, Nonce: store.NewNonce(), Body: numbered(100)}
		if errs, err := r.db.Backend.Apply(context.Background(), []store.Write{theirs}); err != nil || errs[0] != nil {
			t.Fatal(errs, err)
		}
		if _, err := owners[0].ask(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("the commit got %v", err)
		}
		if lost := <-owners[0].lost; lost.Kind != "player" || lost.ID != "p0" || lost.Err.Error() != "store: fenced: player/p0: the writer owns epoch 1, the database is at 2" {
			t.Errorf("got %v", lost)
		}
		if _, err := owners[0].ask(store.Save{Kind: "player", ID: "p0", Body: numbered(3)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("later it got %v", err)
		}
		pass(time.Minute)
		if !owners[0].lives() || len(owners[0].lost) != 0 {
			t.Error("it has ended, or was told twice")
		}
		r.has("p0", 100)
		owners[1].must(store.Commit{Kind: "player", ID: "p1", Body: numbered(2)}) // no matter of its own
		// Its next claim takes over what the other node has left.
		if doc := owners[0].claim("p0"); doc.Epoch != 3 || number(doc.Body) != 100 {
			t.Errorf("the next claim got %+v", doc)
		}
		if r.metric("skua_store_refused_total") != 1 || r.log.Count("write refused") != 1 {
			t.Error("the operator does not hear of it")
		}
	})
}

// What was handed in while the fenced write was under way is not written either.
func TestWhatAFencedOwnerSavedMeanwhileIsNotWritten(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		goOn := make(chan struct{})
		r.db.onApply(func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-goOn
			return do()
		})
		r.taken("p0")
		first := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		second := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(2)})
		close(goOn)
		for _, a := range []<-chan answer{first, second} {
			if a := <-a; !errors.Is(a.err, store.ErrFenced) {
				t.Errorf("got %v", a.err)
			}
		}
		pass(time.Minute)
		if n := len(r.db.writes("p0")); n != 1 {
			t.Errorf("%d writes", n)
		}
		if r.metric("skua_store_pending_documents") != 0 {
			t.Error("something is still pending")
		}
	})
}

func TestALoadSeesWhatAnOwnerSavedMeanwhile(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		hold := make(chan struct{})
		r.db.mu.Lock()
		r.db.load = func(do func() (store.Doc, error)) (store.Doc, error) {
			doc, err := do()
			<-hold
			return doc, err
		}
		r.db.mu.Unlock()
		reader := r.owner().begin(store.Load{Kind: "player", ID: "p0"})
		o := r.players(1)[0]
		o.save("p0", 5)
		close(hold)
		if a := <-reader; a.err != nil || number(a.v.(store.Doc).Body) != 5 {
			t.Errorf("got %v", a)
		}
		if _, err := o.ask(store.Load{Kind: "player", ID: "nobody"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		other := r.owner()
		other.claim("new")
		if _, err := o.ask(store.Load{Kind: "player", ID: "new"}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}
