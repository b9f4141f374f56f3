package lua_test

import (
	"os"
	"testing"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm"
)

// testEngine is the engine that SKUA_TEST_ENGINE names; by default the runtime's own default.
func testEngine(t testing.TB) vm.Engine {
	t.Helper()
	if os.Getenv("SKUA_TEST_ENGINE") != gopher.Name {
		return nil
	}
	e, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
