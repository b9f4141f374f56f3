package store_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/sqlite"
)

// faulty is a backend that does to a real one what a test says.
type faulty struct {
	store.Backend

	mu      sync.Mutex
	batches []batch
	apply   func(writes []store.Write, do func() ([]error, error)) ([]error, error)
	claim   func(do func() (store.Doc, error)) (store.Doc, error)
	load    func(do func() (store.Doc, error)) (store.Doc, error)
	index   func(ctx context.Context) error
}

// oneWriter is one that says that it has one writer.
type oneWriter struct{ *faulty }

func (oneWriter) Serial() {}

// batch is one that the service has sent.
type batch struct {
	at     time.Time
	writes []store.Write
}

func (f *faulty) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	f.mu.Lock()
	f.batches = append(f.batches, batch{time.Now(), writes})
	apply := f.apply
	f.mu.Unlock()
	do := func() ([]error, error) { return f.Backend.Apply(ctx, writes) }
	if apply == nil {
		return do()
	}
	return apply(writes, do)
}

func (f *faulty) Claim(ctx context.Context, kind, id string, epoch int64) (store.Doc, error) {
	f.mu.Lock()
	claim := f.claim
	f.mu.Unlock()
	do := func() (store.Doc, error) { return f.Backend.Claim(ctx, kind, id, epoch) }
	if claim == nil {
		return do()
	}
	return claim(do)
}

func (f *faulty) Load(ctx context.Context, kind, id string) (store.Doc, error) {
	f.mu.Lock()
	load := f.load
	f.mu.Unlock()
	do := func() (store.Doc, error) { return f.Backend.Load(ctx, kind, id) }
	if load == nil {
		return do()
	}
	return load(do)
}

func (f *faulty) Indexes(ctx context.Context, want []store.Index) error {
	f.mu.Lock()
	index := f.index
	f.mu.Unlock()
	if index != nil {
		if err := index(ctx); err != nil {
			return err
		}
	}
	return f.Backend.Indexes(ctx, want)
}

func (f *faulty) onApply(apply func(writes []store.Write, do func() ([]error, error)) ([]error, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apply = apply
}

func (f *faulty) sent() []batch {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]batch(nil), f.batches...)
}

// writes are all that were sent of a document, in order.
func (f *faulty) writes(id string) []store.Write {
	var all []store.Write
	for _, b := range f.sent() {
		for _, w := range b.writes {
			if w.ID == id {
				all = append(all, w)
			}
		}
	}
	return all
}

func away(op string) error { return &store.UnavailableError{Op: op, Err: errGone} }

var errGone = fmt.Errorf("connection refused")

// cut makes the database unreachable until back is called.
func (f *faulty) cut() (back func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.apply = func([]store.Write, func() ([]error, error)) ([]error, error) { return nil, away("apply") }
	f.claim = func(func() (store.Doc, error)) (store.Doc, error) { return store.Doc{}, away("claim") }
	f.load = func(func() (store.Doc, error)) (store.Doc, error) { return store.Doc{}, away("load") }
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.apply, f.claim, f.load = nil, nil, nil
	}
}

// rig is a store on a real database, in a bubble of its own time.
type rig struct {
	*testing.T
	db      *faulty
	sys     *actor.System
	store   actor.Ref
	log     *logtest.Buffer
	metrics *prometheus.Registry
	stopped bool
}

// in runs a test with a store; cfg needs no Backend.
func in(t *testing.T, cfg store.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	inRig(t, cfg, func(db *faulty) store.Backend { return db }, run)
}

func inRig(t *testing.T, cfg store.Config, as func(db *faulty) store.Backend, run func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		faulty := &faulty{Backend: db}
		cfg.Backend = as(faulty)
		r := newRig(t, faulty, cfg)
		defer func() {
			r.stop()
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the log:\n%s", r.log)
			}
		}()
		run(t, r)
	})
}

func newRig(t *testing.T, db *faulty, cfg store.Config) *rig {
	t.Helper()
	r := &rig{T: t, db: db, log: &logtest.Buffer{}, metrics: prometheus.NewRegistry()}
	r.sys = actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(r.log, nil))})
	cfg.Metrics = store.NewMetrics()
	if cfg.Backend == nil {
		cfg.Backend = db
	}
	r.metrics.MustRegister(cfg.Metrics)
	var err error
	if r.store, err = r.sys.Spawn(store.Spec(cfg)); err != nil {
		t.Fatal(err)
	}
	return r
}

// sibling is another node with the same database.
func (r *rig) sibling(cfg store.Config) *rig {
	r.Helper()
	return newRig(r.T, &faulty{Backend: r.db.Backend}, cfg)
}

// stop ends all actors, the store last.
func (r *rig) stop() {
	r.Helper()
	if r.stopped {
		return
	}
	r.stopped = true
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := r.sys.Shutdown(ctx); err != nil {
		r.Error(err)
	}
}

// pass lets time pass, of which there is as much as a test wants.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func (r *rig) metric(name string) float64 {
	r.Helper()
	return metrictest.Value(r, r.metrics, name)
}

// owner is an actor that asks the store for what it is asked for.
type owner struct {
	r     *rig
	ref   actor.Ref
	lost  chan store.Lost
	no    chan store.Refused
	ended chan error // the reason, when its Stop is called, and what comes of last
	last  any        // what it asks the store for then
}

func (r *rig) owner() *owner {
	r.Helper()
	return r.ownerOf(actor.Spec{})
}

// ownerOf starts an owner with a mailbox of its own.
func (r *rig) ownerOf(spec actor.Spec) *owner {
	r.Helper()
	o := &owner{r: r, lost: make(chan store.Lost, 10), no: make(chan store.Refused, 10), ended: make(chan error, 2)}
	spec.New = func() actor.Actor { return o }
	var err error
	if o.ref, err = r.sys.Spawn(spec); err != nil {
		r.Fatal(err)
	}
	return o
}

func (o *owner) Receive(c *actor.Context, msg any) {
	switch m := msg.(type) {
	case store.Lost:
		o.lost <- m
	case store.Refused:
		o.no <- m
	case func(*actor.Context):
		m(c)
	default:
		c.Ask(o.r.store, msg, c.Reply)
	}
}

func (o *owner) Stop(c *actor.Context, reason error) {
	o.ended <- reason
	if o.last != nil {
		c.Ask(o.r.store, o.last, func(_ any, err error) { o.ended <- err })
	}
}

type answer struct {
	v   any
	err error
}

// begin asks and does not wait. What one owner begins is asked in that order.
func (o *owner) begin(msg any) <-chan answer {
	done := make(chan answer, 1)
	started := make(chan struct{})
	go func() {
		close(started)
		v, err := o.r.sys.Ask(context.Background(), o.ref, msg)
		done <- answer{v, err}
	}()
	<-started
	synctest.Wait()
	return done
}

func (o *owner) ask(msg any) (any, error) { return o.r.sys.Ask(context.Background(), o.ref, msg) }

func (o *owner) must(msg any) any {
	o.r.Helper()
	v, err := o.ask(msg)
	if err != nil {
		o.r.Fatalf("%T: %v", msg, err)
	}
	return v
}

func (o *owner) claim(id string) store.Doc {
	o.r.Helper()
	return o.must(store.Claim{Kind: "player", ID: id}).(store.Doc)
}

// lives tells whether the owner has not ended.
func (o *owner) lives() bool {
	synctest.Wait()
	select {
	case <-o.r.sys.Ended(o.ref):
		return false
	default:
		return true
	}
}

// taken has another node claim a document.
func (r *rig) taken(id string) store.Doc {
	r.Helper()
	doc, err := r.db.Backend.Claim(context.Background(), "player", id, 0)
	if err != nil {
		r.Fatal(err)
	}
	return doc
}

func (o *owner) save(id string, n int) {
	o.r.Helper()
	o.must(store.Save{Kind: "player", ID: id, Body: numbered(n)})
}

// end stops the owner and waits until the store knows.
func (o *owner) end() {
	o.r.sys.Stop(o.ref, nil)
	synctest.Wait()
}

// players are owners of the documents p0, p1, ...
func (r *rig) players(n int) []*owner {
	r.Helper()
	all := make([]*owner, n)
	for i := range all {
		all[i] = r.owner()
		all[i].claim(fmt.Sprint("p", i))
	}
	return all
}

func numbered(n int) bson.Raw {
	raw, err := bson.Marshal(bson.D{{Key: "n", Value: int64(n)}})
	if err != nil {
		panic(err) // an integer can be encoded
	}
	return raw
}

// number is what numbered has put in, -1 if there is nothing.
func number(body bson.Raw) int {
	if n, ok := body.Lookup("n").AsInt64OK(); ok {
		return int(n)
	}
	return -1
}

// has fails unless the database has this content.
func (r *rig) has(id string, n int) store.Doc {
	r.Helper()
	doc, err := r.db.Backend.Load(context.Background(), "player", id)
	if err != nil || number(doc.Body) != n {
		r.Fatalf("the database has %v of %s (%v), want %d", doc.Body, id, err, n)
	}
	return doc
}

// sized is a body of n bytes.
func sized(n int) bson.Raw {
	raw, err := bson.Marshal(bson.D{{Key: "b", Value: make([]byte, n-13)}})
	if err != nil {
		panic(err) // bytes can be encoded
	}
	return raw
}
