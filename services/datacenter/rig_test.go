package datacenter_test

import (
	"embed"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/luatest"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/services/datacenter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata
var testdata embed.FS

// rig is a node with the tree, and the scripts of testdata.
type rig struct {
	*luatest.Node
	center actor.Ref
}

// onBoth runs a test on both engines.
func onBoth(t *testing.T, cfg datacenter.Config, run func(t *testing.T, r *rig)) {
	t.Helper()
	luatest.OnEach(t, func(t *testing.T, engine vm.Engine) { run(t, newRig(t, engine, cfg)) })
}

func newRig(tb testing.TB, engine vm.Engine, cfg datacenter.Config) *rig {
	tb.Helper()
	r := &rig{Node: luatest.New(tb, engine)}
	r.Use(testdata, lua.Config{})
	r.center = r.Spawn(datacenter.Spec(cfg))
	return r
}

func contains(s string, parts ...string) bool {
	for _, part := range parts {
		if !strings.Contains(s, part) {
			return false
		}
	}
	return true
}
