package cron_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/services/cron"
)

// rig is a node's cron service in a bubble of its own time, with a wall clock that a test can set.
type rig struct {
	*testing.T
	sys     *actor.System
	cron    actor.Ref
	log     *logtest.Buffer
	metrics *prometheus.Registry
	ahead   atomic.Int64 // of the wall clock before the bubble's
	looks   atomic.Int64 // at the wall clock
}

// start is what the wall clock of a bubble shows: a Saturday.
func start() time.Time { return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) }

func in(t *testing.T, cfg cron.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		t.Helper()
		r := &rig{T: t, log: &logtest.Buffer{}, metrics: prometheus.NewRegistry()}
		cfg.Now = func() time.Time {
			r.looks.Add(1)
			return r.now()
		}
		cfg.Metrics = cron.NewMetrics()
		r.metrics.MustRegister(cfg.Metrics)
		r.sys = actor.New(actor.Config{Log: slog.New(slog.NewTextHandler(r.log, nil))})
		var err error
		if r.cron, err = r.sys.Spawn(cron.Spec(cfg)); err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := r.sys.Shutdown(context.Background()); err != nil {
				t.Error(err)
			}
			if t.Failed() {
				t.Logf("the log:\n%s", r.log)
			}
		}()
		run(t, r)
	})
}

func (r *rig) now() time.Time { return time.Now().Add(time.Duration(r.ahead.Load())) }

// set sets the wall clock.
func (r *rig) set(to time.Time) { r.ahead.Store(int64(time.Until(to))) }

// pass lets time pass.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// until lets time pass until the wall clock shows it.
func (r *rig) until(at time.Time) { pass(at.Sub(r.now())) }

func (r *rig) ask(msg any) (any, error) { return r.sys.Ask(context.Background(), r.cron, msg) }

// add makes a job and gives its first time.
func (r *rig) add(m cron.Add) time.Time {
	r.Helper()
	v, err := r.ask(m)
	if err != nil {
		r.Fatal(err)
	}
	return v.(time.Time)
}

func (r *rig) list() []cron.Job {
	r.Helper()
	v, err := r.ask(cron.List{})
	if err != nil {
		r.Fatal(err)
	}
	return v.([]cron.Job)
}

// refused fails unless a message is answered by an Error of this code, which it gives.
func (r *rig) refused(msg any, code cron.Code) cron.Error {
	r.Helper()
	_, err := r.ask(msg)
	var e *cron.Error
	if !errors.As(err, &e) || !errors.Is(err, &cron.Error{Code: code}) {
		r.Fatalf("%+v: got %v, want %s", msg, err, code)
	}
	return *e
}

func (r *rig) metric(name string) float64 {
	r.Helper()
	return metrictest.Value(r, r.metrics, name)
}

// target is an actor that keeps what it gets.
type target struct {
	ref actor.Ref
	mu  sync.Mutex
	got []any
	at  []time.Time // of the bubble
}

func (r *rig) target(name string) *target {
	r.Helper()
	g := &target{}
	var err error
	g.ref, err = r.sys.Spawn(actor.Spec{Name: name, New: func() actor.Actor {
		return actor.Func(func(c *actor.Context, msg any) {
			if m, ok := msg.(cron.Add); ok { // it adds a job of its own
				c.Ask(r.cron, m, c.Reply)
				return
			}
			g.mu.Lock()
			defer g.mu.Unlock()
			g.got = append(g.got, msg)
			g.at = append(g.at, time.Now())
		})
	}})
	if err != nil {
		r.Fatal(err)
	}
	return g
}

// ticks are the ticks that came since it was asked last.
func (g *target) ticks(tb testing.TB) []cron.Tick {
	tb.Helper()
	g.mu.Lock()
	defer g.mu.Unlock()
	var ticks []cron.Tick
	for _, msg := range g.got {
		ticks = append(ticks, msg.(cron.Tick))
	}
	g.got, g.at = nil, nil
	return ticks
}
