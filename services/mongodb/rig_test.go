package mongodb_test

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/ferrettest"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/internal/metrictest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/mongodb"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to happen.
const patience = time.Minute

// rig is a node whose scripts are those of testdata.
type rig struct {
	*testing.T
	sys     *actor.System
	rt      *lua.Runtime
	log     *logtest.Buffer
	metrics *prometheus.Registry
	db      string // the database of the service that both has started
}

func engines(t *testing.T) []vm.Engine {
	t.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return []vm.Engine{lua54.Engine{}, second}
}

// both runs a test with each engine, with a database server and a service that uses a database of its own on it.
func both(t *testing.T, cfg mongodb.Config, run func(t *testing.T, r *rig, ref actor.Ref, uri string)) {
	t.Helper()
	uri := os.Getenv("MONGO_URI")
	if uri == "" {
		uri = ferrettest.Start(t).URI()
	}
	for _, engine := range engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			r := newRig(t, cfg, engine)
			ref := r.start()
			r.db = "skua_test_" + engine.Name() + "_" + strings.ReplaceAll(time.Now().Format("150405.000000"), ".", "")
			if got := r.call(ref, "connect", uri, r.db); got != "" {
				t.Fatal(got)
			}
			t.Cleanup(func() { r.run(ref, `things.database:runCommand "dropDatabase"`, "") })
			run(t, r, ref, uri)
		})
	}
}

func newRig(t *testing.T, cfg mongodb.Config, engine vm.Engine) *rig {
	t.Helper()
	r := &rig{T: t, log: &logtest.Buffer{}, metrics: prometheus.NewRegistry()}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	cfg.Metrics, cfg.Log = mongodb.NewMetrics(), log
	if cfg.Batch == 0 {
		cfg.Batch = 50 // FerretDB 1.24 hangs with some 100
	}
	r.metrics.MustRegister(cfg.Metrics)
	r.sys = actor.New(actor.Config{Log: log, CallTimeout: patience})
	clients := mongodb.New(cfg)
	var err error
	r.rt, err = lua.NewRuntime(lua.Config{
		Scripts: os.DirFS("testdata"), Library: scripts.FS(), Modules: []lua.Module{clients.Module()}, Engine: engine, Log: log, Budget: patience,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the log:\n%s", r.log)
		}
		for _, name := range []string{"clients", "calls", "cursors", "queued_writes"} {
			if left := r.metric(name); left != 0 {
				t.Errorf("%v %s are left", left, name)
			}
		}
	})
	if _, err := r.sys.Spawn(clients.Spec()); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) metric(name string) float64 {
	r.Helper()
	return metrictest.Value(r, r.metrics, "skua_mongodb_"+name)
}

// start starts a service that runs chunks.
func (r *rig) start() actor.Ref {
	r.Helper()
	ref, err := r.sys.Spawn(r.rt.Spec("runner", value.List{}))
	if err != nil {
		r.Fatal(err)
	}
	if _, err := r.sys.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		r.Fatal(err)
	}
	return ref
}

// call gives a handler's results as text, or its error.
func (r *rig) call(ref actor.Ref, cmd string, args ...any) string {
	v, err := r.sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

// run has a service run a chunk and fails unless it gives what is wanted.
func (r *rig) run(ref actor.Ref, chunk, want string, args ...any) {
	r.Helper()
	if got := r.call(ref, "run", append([]any{chunk}, args...)...); got != want {
		r.Errorf("%s\ngot  %s\nwant %s", chunk, got, want)
	}
}

// fails has a service run a chunk and fails unless that raises an error with the text.
func (r *rig) fails(ref actor.Ref, chunk, want string, args ...any) string {
	r.Helper()
	got := r.call(ref, "run", append([]any{chunk}, args...)...)
	if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
		r.Errorf("%s\ngot  %s\nwant an error with %q", chunk, got, want)
	}
	return got
}

// until waits for a condition.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(end) {
			r.Fatalf("timed out waiting until %s", what)
		}
	}
}
