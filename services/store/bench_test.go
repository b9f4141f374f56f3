package store_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// bench is a store in real time, with owners of documents.
type bench struct {
	*testing.B
	db     *sqlite.DB
	sys    *actor.System
	store  actor.Ref
	owners []actor.Ref
}

func newBench(b *testing.B, owners int, cfg store.Config) *bench {
	b.Helper()
	db, err := sqlite.Open(b.Context(), sqlite.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	t := &bench{B: b, db: db, sys: actor.New(actor.Config{})}
	cfg.Backend = db
	if t.store, err = t.sys.Spawn(store.Spec(cfg)); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := t.sys.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	for i := range owners {
		ref, err := t.sys.Spawn(actor.Spec{New: func() actor.Actor {
			return actor.Func(func(c *actor.Context, msg any) { c.Ask(t.store, msg, c.Reply) })
		}})
		if err != nil {
			b.Fatal(err)
		}
		t.owners = append(t.owners, ref)
		t.ask(i, store.Claim{Kind: "player", ID: fmt.Sprint(i)})
		t.ask(i, store.Commit{Kind: "player", ID: fmt.Sprint(i), Body: raw(b, fields(0))})
	}
	return t
}

func (t *bench) ask(owner int, msg any) {
	t.Helper()
	if _, err := t.sys.Ask(context.Background(), t.owners[owner], msg); err != nil {
		t.Fatal(err)
	}
}

// How long does a commit take, alone and among a hundred, and one bare write?
func BenchmarkCommit(b *testing.B) {
	for _, callers := range []int{1, 100} {
		b.Run(fmt.Sprint(callers, "callers"), func(b *testing.B) {
			t := newBench(b, callers, store.Config{Parallel: 2})
			bodies := make([]bson.Raw, 64)
			for i := range bodies {
				bodies[i] = raw(b, fields(i+1))
			}
			var mu sync.Mutex
			var took []time.Duration
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				wg.Go(func() {
					var mine []time.Duration
					for n := range max(1, b.N/callers) {
						began := time.Now()
						t.ask(i, store.Commit{Kind: "player", ID: fmt.Sprint(i), Body: bodies[n%len(bodies)]})
						mine = append(mine, time.Since(began))
					}
					mu.Lock()
					defer mu.Unlock()
					took = append(took, mine...)
				})
			}
			wg.Wait()
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(took[len(took)/2].Microseconds()), "µs/p50")
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "µs/p99")
		})
	}
	b.Run("bare", func(b *testing.B) {
		t := newBench(b, 0, store.Config{})
		for v := int64(0); b.Loop(); v++ {
			w := store.Write{Kind: "player", ID: "bare", Version: v, Epoch: 1, Nonce: store.NewNonce(), Body: raw(b, fields(int(v)))}
			if errs, err := t.db.Apply(context.Background(), []store.Write{w}); err != nil || errs[0] != nil {
				b.Fatal(errs, err)
			}
		}
	})
}

// What does a save cost the store's actor and its batches, a change of one field of fifty?
func BenchmarkSaveOneOfFiftyFields(b *testing.B) {
	const owners = 1000
	t := newBench(b, owners, store.Config{Autosave: 100 * time.Millisecond})
	bodies := make([]bson.Raw, 64)
	for i := range bodies {
		bodies[i] = raw(b, fields(i+1))
	}
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		t.ask(i%owners, store.Save{Kind: "player", ID: fmt.Sprint(i % owners), Body: bodies[(i/owners)%len(bodies)]})
	}
}
