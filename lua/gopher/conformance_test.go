package gopher_test

import (
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/vm/vmtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func engine(t testing.TB) *gopher.Engine {
	t.Helper()
	e, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestTheEngineIsLuaExceptWhereDeclared(t *testing.T) { vmtest.Run(t, engine(t)) }

func TestTheDifferencesMakeATable(t *testing.T) {
	table := vmtest.Markdown(gopher.Name)
	if !strings.Contains(table, "| syntax: floor division | `3` | `error: test.lua:1: syntax error near '/'` | Lua 5.1 has no such syntax |") {
		t.Error(table)
	}
	if path := os.Getenv("SKUA_GOPHER_TABLE"); path != "" { // for docs/lua.md
		if err := os.WriteFile(path, []byte(table), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}
