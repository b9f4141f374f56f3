package sharedata_test

import (
	"embed"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/sharedata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// onBoth runs a test on both engines.
func onBoth(t *testing.T, cfg sharedata.Config, run func(t *testing.T, r *luatest.Node)) {
	t.Helper()
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) { run(t, newRig(t, engine, cfg)) })
}

// newRig is a node with the service, and the scripts of testdata.
func newRig(tb testing.TB, engine vm.Engine, cfg sharedata.Config) *luatest.Node {
	tb.Helper()
	r := luatest.New(tb, engine)
	cfg.Files, cfg.Engine, cfg.Log = luatest.Testdata(tb, testdata), engine, r.Logger()
	srv := sharedata.New(cfg)
	r.Use(testdata, lua.Config{
		Modules: []lua.Module{srv.Module()},
		Budget:  20 * time.Second, // what is tested here computes more than handlers do, also on a busy machine with the race detector
	})
	r.Spawn(srv.Spec())
	r.Spawn(r.Runtime.Launcher())
	return r
}
