package mongo_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/internal/mongotest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/mongo"
)

// The way to the database is open and silent while players change far more than the store may keep: what is too much is refused, memory stays bounded, and when
// the way is good again all go on, and nothing that was taken is lost.
func TestMemoryStaysBoundedWhileTheDatabaseIsSilent(t *testing.T) {
	server := mongotest.Answer(t, mongotest.NewMemory().Answer)
	p := mongotest.NewProxy(t, server.Addr())
	p.Forget()
	const timeout = 500 * time.Millisecond
	db := open(t, mongo.Options{URI: "mongodb://" + p.Addr() + "/?maxPoolSize=8&serverMonitoringMode=poll&heartbeatFrequencyMS=500", Timeout: timeout})
	sys := actor.New(actor.Config{Log: slog.New(slog.DiscardHandler), CallTimeout: time.Minute})
	const maxBytes, owners, size = 2 << 20, 150, 200_000
	metrics := store.NewMetrics()
	counted := prometheus.NewPedanticRegistry()
	counted.MustRegister(metrics)
	spec := store.Spec(store.Config{Backend: db, Timeout: 2 * timeout, Retry: 10 * time.Millisecond, MaxPendingBytes: maxBytes, Metrics: metrics})
	if _, err := sys.Spawn(spec); err != nil {
		t.Fatal(err)
	}
	refs := make([]actor.Ref, owners)
	for i := range refs {
		ref, err := sys.Spawn(actor.Spec{Name: fmt.Sprintf("owner%d", i), New: func() actor.Actor { return &owner{id: fmt.Sprint(i), pad: strings.Repeat("x", size)} }})
		if err != nil {
			t.Fatal(err)
		}
		refs[i] = ref
	}
	each(owners, func(i int) { // all have claimed their players
		if _, err := sys.Ask(context.Background(), refs[i], ready{}); err != nil {
			t.Error(err)
		}
	})
	var begun, ended runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&begun)
	p.Stall()
	var kept, refused atomic.Int64
	for range 2 {
		each(owners, func(i int) {
			switch _, err := sys.Ask(context.Background(), refs[i], step{}); {
			case errors.Is(err, store.ErrUnavailable):
				kept.Add(1)
			case errors.Is(err, actor.ErrOverloaded):
				refused.Add(1)
			default:
				t.Errorf("a commit got %v", err)
			}
		})
		if n := metrictest.Value(t, counted, "skua_store_pending_bytes"); n > maxBytes {
			t.Errorf("%v bytes wait for the database, of %d at most", n, maxBytes)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&ended)
	grown := int64(ended.HeapAlloc) - int64(begun.HeapAlloc)
	t.Logf("%d commits were kept and %d refused, of %d bytes each; the heap has grown by %d bytes", kept.Load(), refused.Load(), size, grown)
	if grown > owners*size*4/5 { // all of it is more, also if it is there only once
		t.Error("memory is not bounded")
	}
	if kept.Load() == 0 || refused.Load() == 0 {
		t.Error("that is not the load that was meant")
	}
	p.Flow()
	for began := time.Now(); metrictest.Value(t, counted, "skua_store_pending_documents") > 0; pause(5 * time.Millisecond) {
		if time.Since(began) > time.Minute {
			t.Fatal("the store does not come back")
		}
	}
	var durable [owners]int64
	each(owners, func(i int) {
		for began := time.Now(); ; pause(50 * time.Millisecond) {
			v, err := sys.Ask(context.Background(), refs[i], step{bare: true})
			if n, ok := v.(int64); ok && err == nil {
				durable[i] = n
				return
			}
			if time.Since(began) > time.Minute {
				t.Errorf("owner %d does not go on: %v", i, err)
				return
			}
		}
	})
	if err := sys.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, n := range durable {
		doc, err := db.Load(context.Background(), "player", fmt.Sprint(i))
		if err != nil || doc.Body.Lookup("n").AsInt64() != n || doc.Version > n {
			t.Fatalf("owner %d: %v; the database has version %d, %d was durable", i, err, doc.Version, n)
		}
	}
}

// each calls f for all of them, some at once.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	next := make(chan int)
	for range 16 {
		wg.Go(func() {
			for i := range next {
				f(i)
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	wg.Wait()
}
