package store_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

func TestLoadsAreAnsweredFromTheCacheForAWhile(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		asked := 0
		r.db.mu.Lock()
		r.db.load = func(do func() (store.Doc, error)) (store.Doc, error) {
			asked++
			return do()
		}
		r.db.mu.Unlock()
		o := r.owner()
		r.put("x", 0, profile(1, bson.E{Key: "name", Value: "Ann"}))
		load := func(want int, fields ...string) {
			t.Helper()
			if doc := o.must(store.Load{Kind: "player", ID: "x", Fields: fields}).(store.Doc); number(doc.Body) != want {
				t.Errorf("got %v, want %d", doc.Body, want)
			}
		}
		for range 100 {
			load(1)
		}
		load(1, "n") // from the same
		r.put("x", 1, profile(2, bson.E{Key: "name", Value: "Ann"}))
		load(1)
		if asked != 1 || r.metric("skua_store_cache_hits_total") != 101 || r.metric("skua_store_cache_misses_total") != 1 {
			t.Errorf("the database was asked %d times", asked)
		}
		if doc := o.must(store.Load{Kind: "player", ID: "x", Fresh: true}).(store.Doc); number(doc.Body) != 2 {
			t.Errorf("a fresh one is %v", doc.Body)
		}
		load(2)
		r.put("x", 2, profile(3, bson.E{Key: "name", Value: "Bob"}))
		pass(12*time.Second + time.Millisecond)
		load(3)
		o.must(store.Invalidated{Kind: "player", ID: "x"})
		r.put("x", 3, profile(4, bson.E{Key: "name", Value: "Bob"}))
		load(4, "n", "name")
		load(4, "n", "name")
		if asked != 3 {
			t.Errorf("the database was asked %d times for all of it", asked)
		}
		if r.metric("skua_store_cache_bytes") < 300 {
			t.Error("the bytes are not counted")
		}
	})
}

// put writes a document as another node would.
func (r *rig) put(id string, version int64, body bson.Raw) {
	r.Helper()
	errs, err := r.db.Backend.Apply(context.Background(), []store.Write{{Kind: "player", ID: id, Version: version, Epoch: 1 << 20, Nonce: store.NewNonce(), Body: body}})
	if err != nil || errs[0] != nil {
		r.Fatal(errs, err)
	}
}

func TestWhatIsNotThereIsRememberedAsWell(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.owner()
		for range 5 {
			if _, err := o.ask(store.Load{Kind: "player", ID: "x"}); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v", err)
			}
		}
		if r.metric("skua_store_cache_hits_total") != 4 {
			t.Errorf("%v hits", r.metric("skua_store_cache_hits_total"))
		}
		// An owner here makes it: everybody sees it at once, also when the owner is gone.
		own := r.owner()
		own.claim("x")
		own.save("x", 1)
		if doc := o.must(store.Load{Kind: "player", ID: "x"}).(store.Doc); number(doc.Body) != 1 {
			t.Errorf("got %v", doc.Body)
		}
		own.end()
		pass(5 * time.Second)
		if doc := o.must(store.Load{Kind: "player", ID: "x"}).(store.Doc); number(doc.Body) != 1 || doc.Version != 1 {
			t.Errorf("got %v", doc.Body)
		}
	})
}

// A hundred readers of one document are one reading; one that began before the document changed is not kept.
func TestReadersOfOneDocumentShareAReading(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		r.put("x", 0, numbered(1))
		asked, hold := 0, make(chan struct{})
		r.db.mu.Lock()
		r.db.load = func(do func() (store.Doc, error)) (store.Doc, error) {
			asked++
			doc, err := do()
			<-hold
			return doc, err
		}
		r.db.mu.Unlock()
		var waiting []<-chan answer
		for range 100 {
			waiting = append(waiting, r.owner().begin(store.Load{Kind: "player", ID: "x"}))
		}
		own := r.owner()
		own.claim("x")
		own.must(store.Commit{Kind: "player", ID: "x", Body: numbered(2)})
		own.must(store.Release{Kind: "player", ID: "x"})
		later := r.owner().begin(store.Load{Kind: "player", ID: "x"})
		close(hold)
		for _, a := range waiting {
			if a := <-a; a.err != nil || number(a.v.(store.Doc).Body) != 1 {
				t.Fatalf("got %v", a)
			}
		}
		if a := <-later; a.err != nil || number(a.v.(store.Doc).Body) != 2 {
			t.Errorf("who asked after the change got %v", a)
		}
		if doc := own.must(store.Load{Kind: "player", ID: "x"}).(store.Doc); number(doc.Body) != 2 {
			t.Errorf("the old content is kept: %v", doc.Body)
		}
		if asked != 2 {
			t.Errorf("the database was asked %d times", asked)
		}
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	const limit = 100_000
	in(t, store.Config{CacheBytes: limit}, func(t *testing.T, r *rig) {
		o := r.owner()
		for i := range 300 {
			r.put(fmt.Sprint("x", i), 0, sized(1000))
			o.must(store.Load{Kind: "player", ID: fmt.Sprint("x", i)})
			_, _ = o.ask(store.Load{Kind: "player", ID: fmt.Sprint("none", i)})
			_, _ = o.ask(store.Load{Kind: "player", ID: "x0", Fields: []string{fmt.Sprint("f", i)}})
		}
		if got := r.metric("skua_store_cache_bytes"); got > limit || got < limit/2 {
			t.Errorf("%v bytes", got)
		}
		r.put("big", 0, sized(90_000)) // would drive out all others
		o.must(store.Load{Kind: "player", ID: "big"})
		hits := r.metric("skua_store_cache_hits_total")
		o.must(store.Load{Kind: "player", ID: "x299"})
		if r.metric("skua_store_cache_hits_total") != hits+1 {
			t.Error("a large document has driven out the others")
		}
	})
}

// What is read together must not be read again together.
func TestWhatIsReadTogetherDoesNotExpireTogether(t *testing.T) {
	in(t, store.Config{CacheTTL: 10 * time.Second}, func(t *testing.T, r *rig) {
		o := r.owner()
		for i := range 200 {
			_, _ = o.ask(store.Load{Kind: "player", ID: fmt.Sprint("x", i)})
		}
		began := time.Now()
		most, all := 0.0, r.metric("skua_store_cache_misses_total")
		for time.Since(began) < 13*time.Second {
			pass(200 * time.Millisecond)
			before := r.metric("skua_store_cache_misses_total")
			for i := range 200 {
				_, _ = o.ask(store.Load{Kind: "player", ID: fmt.Sprint("x", i)})
			}
			now := r.metric("skua_store_cache_misses_total")
			if now != before && time.Since(began) < 8*time.Second {
				t.Errorf("expired after %v", time.Since(began))
			}
			most = max(most, now-before)
		}
		if expired := r.metric("skua_store_cache_misses_total") - all; expired != 200 || most > 60 {
			t.Errorf("%v expired, %v of them together", expired, most)
		}
	})
}

func TestHostileLoadsAreRefused(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		o := r.owner()
		for _, m := range []store.Load{{Kind: "Not A Kind", ID: "x"}, {Kind: "player"}, {Kind: "player", ID: "x", Fields: []string{"$a"}}, {Kind: "player", ID: "x", Fields: []string{"a", "a.b"}}} {
			if _, err := o.ask(m); !errors.Is(err, store.ErrInvalid) {
				t.Errorf("%+v: got %v", m, err)
			}
		}
	})
}
