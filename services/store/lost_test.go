package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// stopped fails unless the owner has been stopped for this reason.
func (o *owner) stopped(class error, text string) {
	o.r.Helper()
	if o.lives() {
		o.r.Fatal("the owner lives on")
	}
	if why := <-o.ended; !errors.Is(why, class) || why.Error() != text {
		o.r.Errorf("the owner was stopped with %v, want %s", why, text)
	}
}

// What another node does to a document, and what the owner here is told.
var losses = map[string]struct {
	class error
	text  string
	by    func(r *rig) // owns p0 in epoch 1 and version 1
}{
	"fenced": {store.ErrFenced, "store: fenced: player/p0: the writer owns epoch 1, the database is at 2", func(r *rig) { r.taken("p0") }},
	"in conflict": {store.ErrConflict, "store: version conflict: player/p0: the write is based on version 1, the database has 2", func(r *rig) {
		write := store.Write{Kind: "player", ID: "p0", Version: 1, Epoch: 1, Nonce: store.NewNonce(), Body: numbered(100)}
		if errs, err := r.db.Backend.Apply(context.Background(), []store.Write{write}); err != nil || errs[0] != nil {
			r.Fatal(errs, err)
		}
	}},
}

func TestAnOwnerThatHasLostItsDocumentIsToldAndStoppedAndWritesNothingMore(t *testing.T) {
	for name, loss := range losses {
		t.Run(name, func(t *testing.T) {
			in(t, store.Config{Autosave: 50 * time.Millisecond}, func(t *testing.T, r *rig) {
				o := r.players(1)[0]
				o.claim("other")
				o.must(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
				loss.by(r)
				before, _ := r.db.Backend.Load(t.Context(), "player", "p0")
				o.last = store.Save{Kind: "player", ID: "p0", Body: numbered(3)}
				o.save("p0", 2)
				o.save("other", 7)
				pass(time.Minute)
				o.stopped(loss.class, loss.text)
				if len(o.lost) != 1 {
					t.Fatalf("it was told %d times", len(o.lost))
				}
				if lost := <-o.lost; lost.Kind != "player" || lost.ID != "p0" || lost.Err.Error() != loss.text {
					t.Errorf("it was told %v", lost)
				}
				if err := <-o.ended; !errors.Is(err, store.ErrNotOwner) {
					t.Errorf("what it saved in its Stop: %v", err)
				}
				after, err := r.db.Backend.Load(t.Context(), "player", "p0")
				if err != nil || after.Version != before.Version || number(after.Body) != number(before.Body) {
					t.Errorf("the database has %v (%v), and had %v", after, err, before)
				}
				if n := len(r.db.writes("p0")); n != 2 {
					t.Errorf("%d writes were sent, want the commit's and the one that was refused", n)
				}
				r.has("other", 7)
				if r.owner().claim("p0").Version != before.Version {
					t.Error("the next owner gets something else")
				}
			})
		})
	}
}

// The answers that it waits for come first, and who watches it is told the reason.
func TestAnOwnerHearsThatItHasLostBeforeItIsStopped(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		var heard []string
		ref, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return &hearing{heard: &heard} }})
		if err != nil {
			t.Fatal(err)
		}
		watched := make(chan error, 1)
		if _, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return &watcher{of: ref, told: watched} }}); err != nil {
			t.Fatal(err)
		}
		r.sys.Send(ref, func(c *actor.Context) {
			c.Ask(r.store, store.Claim{Kind: "player", ID: "x"}, func(any, error) {})
		})
		synctest.Wait()
		r.taken("x")
		r.sys.Send(ref, func(c *actor.Context) {
			c.Ask(r.store, store.Commit{Kind: "player", ID: "x", Body: numbered(1)}, func(_ any, err error) {
				heard = append(heard, fmt.Sprint("commit fenced: ", errors.Is(err, store.ErrFenced)))
			})
		})
		pass(time.Minute)
		if got, want := fmt.Sprint(heard), "[commit fenced: true lost stop]"; got != want {
			t.Errorf("it heard %s, want %s", got, want)
		}
		if why := <-watched; !errors.Is(why, store.ErrFenced) {
			t.Errorf("who watches it is told %v", why)
		}
	})
}

// hearing writes down what it hears; a function that it is sent runs in its turn.
type hearing struct{ heard *[]string }

func (h *hearing) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case func(*actor.Context):
		m(c)
	case store.Lost:
		*h.heard = append(*h.heard, "lost")
	}
}

func (h *hearing) Stop(*actor.Context, error) { *h.heard = append(*h.heard, "stop") }

type watcher struct {
	of   actor.Ref
	told chan<- error
}

func (w *watcher) Start(c *actor.Context) error {
	c.Watch(w.of)
	return nil
}

func (w *watcher) Receive(_ *actor.Context, msg any) {
	if end, ok := msg.(actor.Terminated); ok {
		w.told <- end.Reason
	}
}

// An owner that waits for something before it takes its next message, or has no room for the Lost, is stopped all the same.
func TestAnOwnerThatIsBusyIsStoppedInTime(t *testing.T) {
	for name, spec := range map[string]actor.Spec{"serial": {Serial: true}, "full": {Serial: true, Mailbox: actor.Mailbox{Limit: 1}}} {
		t.Run(name, func(t *testing.T) {
			in(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
				o := r.ownerOf(spec)
				o.claim("p0")
				r.taken("p0")
				o.save("p0", 1)
				r.sys.Send(o.ref, func(c *actor.Context) { c.After(time.Hour, c.Hold()) })
				r.sys.Send(o.ref, func(*actor.Context) { t.Error("it goes on") })
				pass(900 * time.Millisecond)
				if !o.lives() {
					t.Error("it has not had its time")
				}
				pass(time.Second)
				if why := <-o.ended; !errors.Is(why, store.ErrFenced) {
					t.Errorf("it was stopped with %v", why)
				}
				if len(o.lost) != 0 {
					t.Error("it was told in between")
				}
			})
		})
	}
}

func TestAnOwnerThatHasNobodyToTellIsStoppedAtOnce(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.owner()
		o.must(store.Claim{Kind: "player", ID: "p0", IfLost: store.StopOnly})
		r.taken("p0")
		commit := o.begin(store.Commit{Kind: "player", ID: "p0", Body: numbered(1)})
		if a := <-commit; !errors.Is(a.err, store.ErrFenced) {
			t.Errorf("the commit got %v", a.err)
		}
		o.stopped(store.ErrFenced, "store: fenced: player/p0: the writer owns epoch 1, the database is at 2")
		if len(o.lost) != 0 {
			t.Error("it was told by a Lost, too")
		}
	})
}

func TestAnOwnerThatLosesSeveralDocumentsAtOnceHearsOfEach(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.owner()
		for _, id := range []string{"a", "b", "c"} {
			o.claim(id)
			r.taken(id)
			o.save(id, 1)
		}
		pass(time.Minute)
		if o.lives() || len(o.lost) != 3 {
			t.Errorf("it was told of %d losses; lives: %v", len(o.lost), o.lives())
		}
		if n := r.sys.Stats().DeadLetters; n != 0 {
			t.Errorf("%d dead letters", n)
		}
	})
}

// Only what the database says stops an owner.
func TestAnOwnerThatIsReplacedOnItsNodeLivesOn(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		first, second, third := r.owner(), r.owner(), r.owner()
		first.claim("p0")
		first.save("p0", 1)
		second.claim("p0")
		if _, err := first.ask(store.Save{Kind: "player", ID: "p0", Body: numbered(2)}); !errors.Is(err, store.ErrNotOwner) {
			t.Errorf("the first one's save: %v", err)
		}
		second.must(store.Release{Kind: "player", ID: "p0"})
		if doc := third.claim("p0"); number(doc.Body) != 1 {
			t.Fatalf("the third got %v", doc)
		}
		r.taken("p0")
		third.save("p0", 3)
		pass(time.Minute)
		third.stopped(store.ErrFenced, "store: fenced: player/p0: the writer owns epoch 1, the database is at 2")
		for i, o := range []*owner{first, second} {
			if !o.lives() || len(o.lost) != 0 {
				t.Errorf("owner %d was told of %d losses; lives: %v", i, len(o.lost), o.lives())
			}
		}
	})
}

func TestAnActorWhoseTypedDocumentIsLostIsStoppedAndItsOtherDocumentIsSaved(t *testing.T) {
	in(t, store.Config{Autosave: time.Second}, func(t *testing.T, r *rig) {
		h := &hero{T: t, id: "x", stop: func(*actor.Context) {}}
		do := r.start(h)
		var other *store.Document[sheet]
		do(func(c *actor.Context) {
			store.Open(c, store.Claim{Kind: "player", ID: "y"}, fresh(), func(d *store.Document[sheet], err error) { other = d })
		})
		r.taken("x")
		do(func(c *actor.Context) {
			h.doc.Data.N, other.Data.N = 5, 6
			h.doc.Commit(c, func(err error) {
				if !errors.Is(err, store.ErrFenced) {
					t.Errorf("the commit got %v", err)
				}
				if err := other.Changed(c); err != nil {
					t.Error(err)
				}
			})
		})
		pass(10 * time.Millisecond) // before it would be handed in
		const want = "store: fenced: player/x: the writer owns epoch 1, the database is at 2"
		if !errors.Is(h.why, store.ErrFenced) || h.why.Error() != want || len(h.lost) != 1 {
			t.Errorf("stopped with %v after %d messages", h.why, len(h.lost))
		}
		pass(time.Minute)
		r.has("y", 6)
		if n := len(r.db.writes("x")); n != 1 {
			t.Errorf("%d writes", n)
		}
	})
}
