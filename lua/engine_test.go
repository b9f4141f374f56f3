package lua_test

import (
	"strings"
	"testing"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm"
)

// onBoth runs a test with the default engine and with gopher.
func onBoth(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	for _, name := range []string{"lua54", gopher.Name} {
		t.Run(name, test)
	}
}

// testEngine is the engine of a test that onBoth runs; nil is the runtime's own default.
func testEngine(t testing.TB) vm.Engine {
	t.Helper()
	if !isGopher(t) {
		return nil
	}
	e, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// isGopher tells whether the test is one for the engine gopher, which lacks some of what lua54 has.
func isGopher(t testing.TB) bool { return strings.Contains(t.Name()+"/", "/"+gopher.Name+"/") }

// without leaves the lines of a script out that the engine of the test can't compile.
func without(t testing.TB, script string, parts ...string) string {
	t.Helper()
	if !isGopher(t) {
		return script
	}
	var kept []string
	for line := range strings.Lines(script) {
		drop := false
		for _, part := range parts {
			drop = drop || strings.Contains(line, part)
		}
		if !drop {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "")
}
