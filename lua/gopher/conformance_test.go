package gopher_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/racetest"
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

func TestTheEngineIsLuaExceptWhereDeclared(t *testing.T) {
	racetest.SetAside(t)
	vmtest.Run(t, engine(t))
}

// -update writes the table of differences into docs/lua-engines.md.
var update = flag.Bool("update", false, "write generated documentation")

const (
	enginesDoc = "../../docs/lua-engines.md"
	tableBegin = "<!-- differences: begin; made by go test ./lua/gopher -run Document -update -->\n"
	tableEnd   = "<!-- differences: end -->\n"
)

func TestTheDocumentOfTheDifferencesIsWhatTheCasesSay(t *testing.T) {
	text, err := os.ReadFile(enginesDoc)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	found, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		t.Fatalf("%s lacks the line %s or %s", enginesDoc, tableBegin, tableEnd)
	}
	want := vmtest.Markdown(gopher.Name)
	if !strings.Contains(want, "| syntax: floor division | `3` | `error: test.lua:1: syntax error near '/'` | Lua 5.1 has no such syntax |") {
		t.Error(want)
	}
	if found == want {
		return
	}
	if !*update {
		t.Fatalf("%s is not what the cases say; run: go test ./lua/gopher -run Document -update", enginesDoc)
	}
	if err := os.WriteFile(enginesDoc, []byte(before+tableBegin+want+tableEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
