package sharedata_test

import (
	"context"
	"embed"
	"io/fs"
	"log/slog"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/sharedata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// rig is a node with the service, and the scripts of testdata.
type rig struct {
	testing.TB
	engine vm.Engine
	sys    *actor.System
	rt     *lua.Runtime
	log    *logtest.Buffer
}

// onBoth runs a test on both engines.
func onBoth(t *testing.T, cfg sharedata.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	for _, engine := range engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			run(t, newRig(t, engine, cfg))
		})
	}
}

func engines(tb testing.TB) []vm.Engine {
	tb.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return []vm.Engine{lua54.Engine{}, second}
}

func newRig(tb testing.TB, engine vm.Engine, cfg sharedata.Config) *rig {
	tb.Helper()
	files, err := fs.Sub(testdata, "testdata")
	if err != nil {
		tb.Fatal(err)
	}
	r := &rig{TB: tb, engine: engine, log: &logtest.Buffer{}}
	log := slog.New(slog.NewTextHandler(r.log, nil))
	cfg.Files, cfg.Engine, cfg.Log = files, engine, log
	srv := sharedata.New(cfg)
	r.sys = actor.New(actor.Config{Log: log})
	tb.Cleanup(func() {
		if err := r.sys.Shutdown(context.Background()); err != nil {
			tb.Error(err)
		}
		if tb.Failed() {
			tb.Logf("the log:\n%s", r.log)
		}
	})
	r.rt, err = lua.NewRuntime(lua.Config{
		Scripts: files, Library: scripts.FS(), Engine: engine, Log: log, Modules: []lua.Module{srv.Module()},
		Budget: 20 * time.Second, // what is tested here computes more than handlers do, also on a busy machine with the race detector
	})
	if err != nil {
		tb.Fatal(err)
	}
	for _, spec := range []actor.Spec{srv.Spec(), r.rt.Launcher()} {
		if _, err := r.sys.Spawn(spec); err != nil {
			tb.Fatal(err)
		}
	}
	return r
}

// start starts a service of testdata.
func (r *rig) start(script string, args ...any) actor.Ref {
	r.Helper()
	ref, err := r.sys.Spawn(r.rt.Spec(script, value.Of(args...)))
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
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	v, err := r.sys.Ask(ctx, ref, lua.Command(cmd, args...))
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
func (r *rig) run(ref actor.Ref, chunk, want string) {
	r.Helper()
	if got := r.call(ref, "run", chunk); got != want {
		r.Errorf("%s\ngot  %s\nwant %s", chunk, got, want)
	}
}

// fails has a service run a chunk and fails unless that raises an error with each of the texts.
func (r *rig) fails(ref actor.Ref, chunk string, want ...string) {
	r.Helper()
	got := r.call(ref, "run", chunk)
	for _, w := range want {
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, w) {
			r.Errorf("%s\ngot  %s\nwant an error with %q", chunk, got, w)
		}
	}
}
