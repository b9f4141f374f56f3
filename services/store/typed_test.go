package store_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
)

// sheet is a player's content.
type sheet struct {
	N     int64            `bson:"n"`
	Name  string           `bson:"name"`
	Bag   []string         `bson:"bag"`
	Wins  map[string]int64 `bson:"wins"`
	Place struct {
		X int64 `bson:"x"`
		Y int64 `bson:"y"`
	} `bson:"place"`
	Text string `bson:"text"`
	Bad  any    `bson:"bad,omitempty"`
}

func fresh() sheet {
	s := sheet{Name: "nobody", Bag: []string{"bread", "knife"}, Wins: map[string]int64{"duel": 1}, Text: string(make([]byte, 500))}
	s.Place.X = 5
	return s
}

// hero is an actor in Go that owns a document; what it is sent runs in its turn.
type hero struct {
	*testing.T
	stop   func(c *actor.Context) // in the place of a Release
	id     string
	ifLost store.IfLost
	doc    *store.Document[sheet]
	fail   error
	lost   []store.Lost
	no     []store.Refused
	why    error // its Stop's reason
}

func (h *hero) Start(c *actor.Context) error {
	store.Open(c, store.Claim{Kind: "player", ID: h.id, IfLost: h.ifLost}, fresh(), func(d *store.Document[sheet], err error) { h.doc, h.fail = d, err })
	return nil
}

func (h *hero) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case func(*actor.Context):
		m(c)
	case store.Lost:
		h.lost = append(h.lost, m)
	case store.Refused:
		h.no = append(h.no, m)
	}
}

func (h *hero) Stop(c *actor.Context, reason error) {
	h.why = reason
	if h.stop != nil {
		h.stop(c)
	} else if h.doc != nil {
		if err := h.doc.Release(c); err != nil && !errors.Is(err, store.ErrReleased) {
			h.Error(err)
		}
	}
}

func (h *hero) changed(c *actor.Context) {
	if err := h.doc.Changed(c); err != nil {
		h.Error(err)
	}
}

// hero starts one, and gives a function by which it does something.
func (r *rig) hero(id string) (*hero, func(func(c *actor.Context))) {
	r.Helper()
	h := &hero{T: r.T, id: id}
	return h, r.start(h)
}

func (r *rig) start(h *hero) func(func(c *actor.Context)) {
	r.Helper()
	ref, err := r.sys.Spawn(actor.Spec{New: func() actor.Actor { return h }})
	if err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
	return func(f func(c *actor.Context)) {
		r.sys.Send(ref, f)
		synctest.Wait()
	}
}

func TestATypedDocumentIsItsContentOverItsDefaults(t *testing.T) {
	in(t, store.Config{Autosave: 2 * time.Second}, func(t *testing.T, r *rig) {
		h, _ := r.hero("new")
		if h.fail != nil || !reflect.DeepEqual(h.doc.Data, fresh()) || h.doc.Kind() != "player" || h.doc.ID() != "new" {
			t.Fatalf("a new one: %v, %+v", h.fail, h.doc)
		}
		r.put("old", 0, raw(t, bson.D{{Key: "n", Value: int64(7)}, {Key: "bag", Value: bson.A{"rope"}}, {Key: "wins", Value: bson.D{}}, {Key: "place", Value: bson.D{{Key: "y", Value: 9}}}}))
		h, _ = r.hero("old")
		want := fresh()
		want.N, want.Bag, want.Wins, want.Place.Y = 7, []string{"rope"}, map[string]int64{}, 9
		if h.fail != nil || !reflect.DeepEqual(h.doc.Data, want) {
			t.Fatalf("%v\ngot  %+v\nwant %+v", h.fail, h.doc.Data, want)
		}
		r.put("other", 0, raw(t, bson.D{{Key: "n", Value: "text"}}))
		if h, _ = r.hero("other"); !errors.Is(h.fail, store.ErrInvalid) {
			t.Errorf("one that is no sheet: %v", h.fail)
		}
		if r.owner().claim("other").Epoch == 0 {
			t.Error("it can't be claimed")
		}
	})
}

func TestChangesOfATypedDocumentAreSavedInTime(t *testing.T) {
	const autosave = 2 * time.Second
	in(t, store.Config{Autosave: autosave}, func(t *testing.T, r *rig) {
		h, do := r.hero("x")
		do(func(c *actor.Context) {
			h.doc.Data.N = 1
			h.doc.Commit(c, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		})
		r.has("x", 1)
		for n := int64(2); n <= 20; n++ {
			do(func(c *actor.Context) {
				h.doc.Data.N = n
				h.changed(c)
			})
			pass(500 * time.Millisecond)
			if doc, err := r.db.Backend.Load(t.Context(), "player", "x"); err != nil || number(doc.Body) < int(n)-4 {
				t.Errorf("%d is not saved, the database has %d", n, number(doc.Body))
			}
		}
		pass(autosave + time.Millisecond)
		r.has("x", 20)
		writes := r.db.writes("x")
		if len(writes) > 8 || writes[1].Patch == nil || len(writes[1].Patch.Set) != 1 {
			t.Errorf("%d writes, the second is %s", len(writes), text(writes[1].Patch))
		}
		idle := len(r.db.sent())
		pass(time.Hour)
		if len(r.db.sent()) != idle {
			t.Error("a document that does not change is written")
		}
		do(func(c *actor.Context) { // at the end, all is written
			h.doc.Data.N = 21
			h.changed(c)
		})
		r.stop()
		r.has("x", 21)
	})
}

func TestATypedDocumentTellsWhatCanNotBeSaved(t *testing.T) {
	in(t, store.Config{Autosave: 100 * time.Millisecond}, func(t *testing.T, r *rig) {
		h, do := r.hero("x")
		do(func(c *actor.Context) {
			h.doc.Data.Bad = map[string]any{"a.b": 1}
			if err := h.doc.Save(c); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("got %v", err)
			}
			h.doc.Data.Bad = make(chan int)
			h.doc.Commit(c, func(err error) {
				if !errors.Is(err, store.ErrInvalid) {
					t.Errorf("got %v", err)
				}
			})
			h.changed(c)
		})
		pass(time.Second)
		if r.log.Count("not saved") == 0 {
			t.Error("the log does not tell")
		}
		do(func(c *actor.Context) { h.doc.Data.Bad, h.doc.Data.N = nil, 3 })
		pass(time.Second)
		r.has("x", 3) // it was tried again
		do(func(c *actor.Context) {
			h.doc.Delete(c, func(err error) {
				if err != nil {
					t.Error(err)
				}
			})
		})
		if _, err := r.db.Backend.Load(t.Context(), "player", "x"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
		do(func(c *actor.Context) {
			if err := h.doc.Release(c); err != nil {
				t.Error(err)
			}
			if err := h.doc.Save(c); !errors.Is(err, store.ErrReleased) {
				t.Errorf("got %v", err)
			}
			if err := h.doc.Changed(c); !errors.Is(err, store.ErrReleased) {
				t.Errorf("got %v", err)
			}
			h.doc.Delete(c, func(err error) {
				if !errors.Is(err, store.ErrReleased) {
					t.Errorf("got %v", err)
				}
			})
		})
		if doc := r.owner().claim("x"); doc.Epoch != 2 {
			t.Errorf("epoch %d: it was not released", doc.Epoch)
		}
	})
}

// stops is a hero that does something in its Stop, which is not to Release its document.
func (r *rig) stops(id string, do func(c *actor.Context, h *hero)) {
	r.Helper()
	h, in := r.hero(id)
	h.stop = func(c *actor.Context) { do(c, h) }
	in(func(c *actor.Context) {
		h.doc.Data.N = 1
		h.changed(c)
	})
	in(func(c *actor.Context) { c.Stop(c.Self(), nil) })
}

func TestWhatHasChangedIsSavedWhenTheActorStops(t *testing.T) {
	in(t, store.Config{Autosave: time.Minute}, func(t *testing.T, r *rig) {
		r.stops("announced", func(*actor.Context, *hero) {})
		r.stops("changed", func(c *actor.Context, h *hero) {
			h.doc.Data.N = 2
			h.changed(c)
		})
		r.stops("later", func(c *actor.Context, h *hero) {
			store.Peek(c, store.Load{Kind: "player", ID: "nobody"}, func(sheet, error) {
				h.doc.Data.N = 3
				h.changed(c)
			})
		})
		r.stops("released", func(c *actor.Context, h *hero) {
			if err := h.doc.Release(c); err != nil {
				t.Error(err)
			}
			store.Peek(c, store.Load{Kind: "player", ID: "nobody"}, func(sheet, error) {
				h.doc.Data.N = 4
				if err := h.doc.Changed(c); !errors.Is(err, store.ErrReleased) {
					t.Errorf("got %v", err)
				}
			})
		})
		r.stops("bad", func(c *actor.Context, h *hero) {
			h.doc.Data.Bad = make(chan int)
			if err := h.doc.Changed(c); err != nil { // it is announced already, and tried behind this
				t.Error(err)
			}
		})
		r.stop()
		r.has("announced", 1)
		r.has("changed", 2)
		r.has("later", 3)
		r.has("released", 1)
		if r.log.Count("not saved") != 1 || r.log.Count("lost=true") != 1 {
			t.Errorf("the log:\n%s", r.log)
		}
	})
}

func TestAnActorThatStopsWaitsForRoomInTheStore(t *testing.T) {
	in(t, store.Config{Autosave: 3 * time.Second, MaxPending: 1}, func(t *testing.T, r *rig) {
		other := r.owner()
		other.claim("other")
		other.save("other", 1) // waits for 3 s
		r.stops("x", func(*actor.Context, *hero) {})
		if r.log.Count("not saved") == 0 {
			t.Fatal("the store has room")
		}
		pass(7 * time.Second)
		r.has("x", 1)
	})
}

func TestWhatACommitCouldNotSaveIsSavedIfItWasAnnounced(t *testing.T) {
	in(t, store.Config{Autosave: 3 * time.Second, MaxPending: 1}, func(t *testing.T, r *rig) {
		h, do := r.hero("x")
		other := r.owner()
		other.claim("other")
		other.save("other", 1) // waits for 3 s
		failed := 0
		do(func(c *actor.Context) {
			h.doc.Data.N = 5
			h.changed(c)
			h.doc.Commit(c, func(err error) {
				if failed++; !errors.Is(err, actor.ErrOverloaded) {
					t.Errorf("got %v", err)
				}
			})
		})
		if failed != 1 {
			t.Fatalf("%d answers", failed)
		}
		pass(8 * time.Second)
		r.has("x", 5)
	})
}

func TestATypedDocumentThatIsLostTakesNoChanges(t *testing.T) {
	in(t, store.Config{Autosave: time.Second}, func(t *testing.T, r *rig) {
		h := &hero{T: t, id: "x", ifLost: store.TellOnly}
		do := r.start(h)
		two := r.sibling(store.Config{})
		defer two.stop()
		two.owner().claim("x")
		calls := 0
		fenced := func(err error) {
			if calls++; !errors.Is(err, store.ErrFenced) {
				t.Errorf("got %v", err)
			}
		}
		do(func(c *actor.Context) {
			h.doc.Data.N = 5
			h.doc.Commit(c, fenced)
		})
		pass(time.Second)
		do(func(c *actor.Context) {
			fenced(h.doc.Changed(c))
			fenced(h.doc.Save(c))
			h.doc.Commit(c, fenced)
		})
		if calls != 4 || len(h.lost) != 1 {
			t.Errorf("%d calls, %d messages", calls, len(h.lost))
		}
		if writes := r.db.writes("x"); len(writes) != 1 {
			t.Errorf("%d writes", len(writes))
		}
	})
}

func TestAnotherActorPeeksIntoATypedDocument(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		r.put("x", 0, raw(t, bson.D{{Key: "n", Value: int64(7)}, {Key: "name", Value: "Ann"}}))
		_, do := r.hero("other")
		answers := 0
		do(func(c *actor.Context) {
			store.Peek(c, store.Load{Kind: "player", ID: "x", Fields: []string{"name"}}, func(s sheet, err error) {
				if answers++; err != nil || s.Name != "Ann" || s.N != 0 {
					t.Errorf("got %+v, %v", s, err)
				}
			})
			store.Peek(c, store.Load{Kind: "player", ID: "nobody"}, func(_ sheet, err error) {
				if answers++; !errors.Is(err, store.ErrNotFound) {
					t.Errorf("got %v", err)
				}
			})
		})
		if answers != 2 {
			t.Errorf("%d answers", answers)
		}
	})
}

func TestANodeWithoutAStoreSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sys := actor.New(actor.Config{})
		h := &hero{T: t, id: "x"}
		if _, err := sys.Spawn(actor.Spec{New: func() actor.Actor { return h }}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if !errors.Is(h.fail, store.ErrUnavailable) {
			t.Errorf("got %v", h.fail)
		}
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

// purses is a kind whose schema has changed twice.
func purses() store.Migration {
	return store.Migration{Version: 3, Steps: map[int]func(bson.D) (bson.D, error){
		1: func(d bson.D) (bson.D, error) {
			for i := range d {
				if d[i].Key == "coins" {
					d[i].Key = "n"
				}
			}
			return d, nil
		},
		2: func(d bson.D) (bson.D, error) {
			for _, e := range d {
				if e.Key == "broken" {
					return nil, errors.New("no idea what this is")
				}
				if e.Key == "worse" {
					panic("boom")
				}
			}
			return append(d, bson.E{Key: "two", Value: true}), nil
		},
	}}
}

func TestDocumentsOfAnOldSchemaAreMigratedWhenTheyAreRead(t *testing.T) {
	cfg := store.Config{Migrations: map[string]store.Migration{"player": purses()}, Autosave: 100 * time.Millisecond, Indexes: []store.Index{{Kind: "player", Name: "c", Fields: []string{"coins"}}}}
	in(t, cfg, func(t *testing.T, r *rig) {
		pass(time.Second)
		old := raw(t, bson.D{{Key: "coins", Value: int64(7)}})
		newest := raw(t, bson.D{{Key: "n", Value: int64(7)}, {Key: "two", Value: true}, {Key: "_schema", Value: int64(3)}})
		r.put("x", 0, old)
		o := r.owner()
		if doc := o.must(store.Load{Kind: "player", ID: "x"}).(store.Doc); string(doc.Body) != string(newest) {
			t.Errorf("a load gives %v", doc.Body)
		}
		if doc := o.must(store.Load{Kind: "player", ID: "x", Fields: []string{"two"}}).(store.Doc); string(doc.Body) != string(raw(t, bson.D{{Key: "two", Value: true}})) {
			t.Errorf("a part of it is %v", doc.Body)
		}
		found := o.must(store.Find{Query: store.Query{Kind: "player", Sort: []string{"coins"}, Limit: 5, Fields: []string{"n"}}}).(store.Found)
		if len(found.Docs) != 1 || number(found.Docs[0].Body) != 7 {
			t.Errorf("found %v", found)
		}
		if doc := o.claim("x"); string(doc.Body) != string(newest) {
			t.Errorf("a claim gives %v", doc.Body)
		}
		pass(time.Second)
		if doc, _ := r.db.Backend.Load(t.Context(), "player", "x"); string(doc.Body) != string(old) {
			t.Errorf("reading it has written %v", doc.Body)
		}
		// The owner's struct knows nothing of schemas.
		o.must(store.Commit{Kind: "player", ID: "x", Body: raw(t, bson.D{{Key: "n", Value: int64(8)}, {Key: "two", Value: true}})})
		doc := r.has("x", 8)
		if v, _ := doc.Body.Lookup("_schema").AsInt64OK(); v != 3 {
			t.Errorf("the database has %v", doc.Body)
		}
		o.must(store.Release{Kind: "player", ID: "x"})
		if doc := o.claim("x"); number(doc.Body) != 8 {
			t.Errorf("then a claim gives %v", doc.Body)
		}
	})
}

func TestAMigrationThatFailsChangesNothing(t *testing.T) {
	in(t, store.Config{Migrations: map[string]store.Migration{"player": purses()}}, func(t *testing.T, r *rig) {
		for id, c := range map[string]struct {
			body bson.D
			want string
		}{
			"new":    {bson.D{{Key: "_schema", Value: int64(4)}}, "store: schema: player/new: the content has schema 4, this program knows those up to 3"},
			"broken": {bson.D{{Key: "broken", Value: 1}}, "store: schema: player/broken: the step from schema 2 to 3 failed: no idea what this is"},
			"worse":  {bson.D{{Key: "worse", Value: 1}}, "store: schema: player/worse: the step from schema 2 to 3 failed: panic: boom"},
			"odd":    {bson.D{{Key: "_schema", Value: "x"}}, "store: schema: player/odd: the step from schema 1 to 2 failed: the field _schema is no version"},
		} {
			body := raw(t, c.body)
			r.put(id, 0, body)
			o := r.owner()
			for _, m := range []any{store.Load{Kind: "player", ID: id}, store.Claim{Kind: "player", ID: id}} {
				if _, err := o.ask(m); !errors.Is(err, store.ErrSchema) || err.Error() != c.want {
					t.Errorf("%T of %s: got %v, want %s", m, id, err, c.want)
				}
			}
			if _, err := o.ask(store.Save{Kind: "player", ID: id, Body: numbered(1)}); !errors.Is(err, store.ErrNotOwner) {
				t.Errorf("%s is owned: %v", id, err)
			}
			if doc, err := r.db.Backend.Load(t.Context(), "player", id); err != nil || string(doc.Body) != string(body) {
				t.Errorf("%s: the database has %v, %v", id, doc.Body, err)
			}
		}
	})
	if err := purses().Check(); err != nil {
		t.Error(err)
	}
	gap := store.Migration{Version: 4, Steps: purses().Steps}
	if err := gap.Check(); !errors.Is(err, store.ErrSchema) || fmt.Sprint(err) != "store: schema: there is no step from 3 to 4" {
		t.Errorf("got %v", err)
	}
}
