package multicast_test

import (
	"embed"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/multicast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// rig is a node with channels, and the scripts of testdata.
type rig struct {
	*luatest.Node
	srv *multicast.Service
}

// onBoth runs a test on both engines.
func onBoth(t *testing.T, cfg multicast.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) { run(t, newRig(t, engine, cfg)) })
}

func newRig(tb testing.TB, engine vm.Engine, cfg multicast.Config) *rig {
	tb.Helper()
	r := &rig{Node: luatest.New(tb, engine), srv: multicast.New(cfg)}
	r.Use(testdata, lua.Config{Modules: []lua.Module{r.srv.Module()}})
	r.Spawn(r.Runtime.Launcher())
	return r
}

// is fails unless a handler gives what is wanted.
func (r *rig) is(want string, ref actor.Ref, cmd string, args ...any) {
	r.Helper()
	if got := r.Call(ref, cmd, args...); got != want {
		r.Errorf("%s %v: got %s, want %s", cmd, args, got, want)
	}
}

// fails fails unless a handler raises an error with that text.
func (r *rig) fails(want string, ref actor.Ref, cmd string, args ...any) {
	r.Helper()
	if got := r.Call(ref, cmd, args...); !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
		r.Errorf("%s %v: got %s, want an error with %q", cmd, args, got, want)
	}
}
