package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/skua-go/skua/services/store"
)

// room is what lies between two epochs of a directory.
const room = 128

func (o *owner) claimIn(id string, epoch uint64) (store.Doc, error) {
	v, err := o.ask(store.Claim{Kind: "player", ID: id, Epoch: epoch})
	doc, _ := v.(store.Doc)
	return doc, err
}

func TestAClaimWithAnEpochFencesLowerOnes(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		first, late, next := r.owner(), r.owner(), r.owner()
		if doc, err := first.claimIn("p", 5); err != nil || doc.Epoch != 5*room {
			t.Fatalf("%+v, %v", doc, err)
		}
		first.must(store.Commit{Kind: "player", ID: "p", Body: numbered(1)})
		if _, err := late.claimIn("p", 4); !errors.Is(err, store.ErrFenced) {
			t.Errorf("a lower epoch, on the node of the owner: %v", err)
		}
		first.save("p", 2) // it is not touched
		if doc, err := next.claimIn("p", 6); err != nil || number(doc.Body) != 2 {
			t.Fatalf("%+v, %v", doc, err)
		}
		if _, err := first.ask(store.Save{Kind: "player", ID: "p", Body: numbered(9)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("the one that was replaced: %v", err)
		}
		next.must(store.Commit{Kind: "player", ID: "p", Body: numbered(3)})
		if doc := r.has("p", 3); doc.Epoch != 6*room {
			t.Errorf("the database has epoch %d", doc.Epoch)
		}
		next.end()
		if _, err := late.claimIn("p", 5); !errors.Is(err, store.ErrFenced) {
			t.Errorf("a lower epoch, at the database: %v", err)
		}
	})
}

// An operator's script opens the document of a grain that sleeps, as often as it likes: the grain gets it back with its next activation.
func TestWhoHasNoEpochTakesADocumentUntilTheNextOfTheDirectory(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		grain := r.owner()
		if _, err := grain.claimIn("p", 5); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			r.taken("p") // on another node
		}
		if _, err := grain.ask(store.Commit{Kind: "player", ID: "p", Body: numbered(9)}); !errors.Is(err, store.ErrFenced) {
			t.Errorf("it has been taken: %v", err)
		}
		again := r.owner()
		if doc, err := again.claimIn("p", 6); err != nil || doc.Epoch != 6*room {
			t.Errorf("%+v, %v", doc, err)
		}
		again.must(store.Commit{Kind: "player", ID: "p", Body: numbered(1)})
	})
}

func TestAHigherEpochIsNotRefusedForALowerOneBeforeIt(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		if _, err := r.db.Backend.Claim(t.Context(), "player", "p", 7*room); err != nil {
			t.Fatal(err)
		}
		low, high := r.owner(), r.owner()
		goOn := r.holdClaims()
		first, second := low.begin(store.Claim{Kind: "player", ID: "p", Epoch: 6}), high.begin(store.Claim{Kind: "player", ID: "p", Epoch: 8})
		goOn()
		if got := <-first; !errors.Is(got.err, store.ErrFenced) {
			t.Errorf("the lower one got %v", got)
		}
		if got := <-second; got.err != nil || got.v.(store.Doc).Epoch != 8*room {
			t.Errorf("the higher one got %v", got)
		}
	})
}

func TestSettleIsAnsweredWhenAllIsWritten(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		settle := store.Settle{Kind: "player", ID: "p0"}
		o.must(settle) // nothing is to be written
		begun := time.Now()
		o.save("p0", 1)
		o.must(settle)
		r.has("p0", 1)
		if took := time.Since(begun); took > 0 { // of the bubble's time
			t.Errorf("it has waited %v for its turn", took)
		}
		r.owner().must(settle) // of others it says nothing

		hold := make(chan struct{})
		r.db.mu.Lock()
		r.db.apply = func(_ []store.Write, do func() ([]error, error)) ([]error, error) {
			<-hold
			return do()
		}
		r.db.mu.Unlock()
		o.save("p0", 2)
		pass(3 * time.Second) // it is on its way
		done := o.begin(settle)
		o.save("p0", 3)
		newer := o.begin(settle)
		select {
		case got := <-done:
			t.Errorf("answered before it was written: %v", got)
		default:
		}
		close(hold)
		if got := <-done; got.err != nil {
			t.Error(got.err)
		}
		if got := <-newer; got.err != nil {
			t.Error(got.err)
		}
		r.has("p0", 3)
	})
}

func TestSettleWaitsForNoDatabaseThatIsAway(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.players(1)[0]
		back := r.db.cut()
		o.save("p0", 1)
		if _, err := o.ask(store.Settle{Kind: "player", ID: "p0"}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the batch fails: %v", err)
		}
		if _, err := o.ask(store.Settle{Kind: "player", ID: "p0"}); !errors.Is(err, store.ErrUnavailable) {
			t.Errorf("the outage is known: %v", err)
		}
		back()
		pass(time.Minute)
		r.has("p0", 1)
	})
}
