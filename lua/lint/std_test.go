package lint_test

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lint"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// lister answers with all globals, and with what is in those that are tables.
const lister = `local M = {}
function M.list()
  local names = {}
  for name, v in pairs(_G) do
    names[#names + 1] = name
    if type(v) == "table" and v ~= _G then
      for field in pairs(v) do names[#names + 1] = name .. "." .. field end
    end
  end
  return table.concat(names, " ")
end
return M`

// globals are the names that a service has.
func globals(t *testing.T, engine vm.Engine) []string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"lister.lua": {Data: []byte(lister)}}, Library: scripts.FS(), Engine: engine, Log: log,
	})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{Log: log})
	defer func() {
		if err := sys.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	ref, err := sys.Spawn(rt.Spec("lister", lua.Command("").Args))
	if err != nil {
		t.Fatal(err)
	}
	v, err := sys.Ask(t.Context(), ref, lua.Command("list"))
	if err != nil {
		t.Fatal(err)
	}
	var text string
	if err := v.(interface{ Scan(dst ...any) error }).Scan(&text); err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(text)
	slices.Sort(names)
	return names
}

// standard is what is known.
func standard(lua51 bool) []string {
	var known []string
	for name, fields := range lint.Standard(lua51) {
		known = append(known, name)
		for _, f := range fields {
			known = append(known, name+"."+f)
		}
	}
	return known
}

func TestTheGlobalsThatAreKnownAreThoseOfTheEngines(t *testing.T) {
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	for _, engine := range []vm.Engine{lua54.Engine{}, second} {
		known, there := standard(engine == second), globals(t, engine)
		for _, name := range there {
			if !slices.Contains(known, name) && !strings.HasPrefix(name, "package.loaded.") {
				t.Errorf("%s: %s is there and not known", engine.Name(), name)
			}
		}
		for _, name := range known {
			if !slices.Contains(there, name) {
				t.Errorf("%s: %s is known and not there", engine.Name(), name)
			}
		}
	}
}
