package lua_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

var update = flag.Bool("update", false, "write docs/lua-api.md from the tests of the API")

const (
	apiDir  = "testdata/api"
	apiBook = "../docs/lua-api.md"
)

// apiModules are the modules of the API beside skynet itself that the cases are about.
var apiModules = []string{"skynet.coroutine", "skynet.profile", "skynet.queue", "skynet.service"}

// apiResult is how a case went.
type apiResult struct{ name, about, needs, err string }

func apiEngines(t *testing.T) []vm.Engine {
	t.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return []vm.Engine{lua54.Engine{}, second}
}

// Each function of the API has cases in testdata/api that hold its meaning, its errors among them, on both engines. docs/lua-api.md is made of them.
func TestTheAPIMeansWhatItSays(t *testing.T) {
	var book []apiResult
	for _, engine := range apiEngines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			var all []apiResult
			for _, file := range apiFiles(t) {
				t.Run(file, func(t *testing.T) {
					t.Parallel()
					results := runCases(t, engine, file)
					for _, r := range results {
						if r.err != "" {
							t.Errorf("%s %s: %s", r.name, r.about, r.err)
						}
					}
				})
				all = append(all, listCases(t, file)...)
			}
			book = all
		})
	}
	covered := map[string]bool{}
	for _, r := range book {
		covered[r.name] = true
	}
	names := append(lua.API(), apiModules...)
	for _, name := range names {
		if !covered[name] {
			t.Errorf("no case is about %s", name)
		}
	}
	for name := range covered {
		if !slices.Contains(names, name) {
			t.Errorf("a case is about %s, which is not in the API", name)
		}
	}
	checkBook(t, apiTable(book))
}

func apiFiles(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir(apiDir)
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), ".lua")
		if ok && name != "runner" {
			files = append(files, name)
		}
	}
	return files
}

var caseLine = regexp.MustCompile(`(?m)^case(?:\.(\w+))?\("([^"]+)", "([^"]+)", function`)

// listCases reads what a file's cases are about.
func listCases(t *testing.T, file string) []apiResult {
	t.Helper()
	text, err := os.ReadFile(apiDir + "/" + file + ".lua")
	if err != nil {
		t.Fatal(err)
	}
	var found []apiResult
	for _, m := range caseLine.FindAllStringSubmatch(string(text), -1) {
		found = append(found, apiResult{name: m[2], about: m[3], needs: m[1]})
	}
	if len(found) == 0 {
		t.Fatalf("%s has no cases", file)
	}
	return found
}

// runCases runs a file in a node of its own.
func runCases(t *testing.T, engine vm.Engine, file string) []apiResult {
	t.Helper()
	log := &logtest.Buffer{}
	logger := slog.New(slog.NewTextHandler(log, nil))
	aborted := make(chan struct{}, 1)
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: os.DirFS(apiDir), Library: scripts.FS(), Log: logger, Budget: 500 * time.Millisecond, Engine: engine,
		Env: map[string]string{"color": "blue"}, Abort: func() { aborted <- struct{}{} },
		Modules: []lua.Module{{Name: "apitest", Open: func(_ *lua.Host, s vm.State) {
			s.NewTable(0, 2)
			s.PushFunc("logged", func(s vm.State) int {
				pattern, _ := s.String(1)
				s.PushBool(regexp.MustCompile(strings.ReplaceAll(pattern, "%", `\`)).MatchString(log.String()))
				return 1
			})
			s.SetField(-2, "logged")
			s.PushFunc("aborted", func(s vm.State) int {
				s.PushBool(len(aborted) > 0)
				return 1
			})
			s.SetField(-2, "aborted")
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{Log: logger, CallTimeout: 20 * time.Second})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	if _, err := sys.Spawn(rt.Launcher()); err != nil {
		t.Fatal(err)
	}
	n := &node{t, sys, rt, log}
	l, err := n.call(n.start("runner"), "run", file, abilities(engine))
	if err != nil {
		t.Fatalf("%s: %v\n%s", file, err, log.String())
	}
	return resultsOf(t, l, len(listCases(t, file)))
}

// abilities are what cases may need that not every engine has.
func abilities(engine vm.Engine) map[string]any {
	machine := engine.New(vm.Options{})
	defer machine.Close()
	return map[string]any{"exact": machine.Main().Exact()}
}

func resultsOf(t *testing.T, l value.List, want int) []apiResult {
	t.Helper()
	var results []apiResult
	text := func(v value.Value, key string) string {
		s, _ := v.Get(key).Str()
		return s
	}
	for _, v := range l.At(0).Items {
		results = append(results, apiResult{text(v, "name"), text(v, "about"), text(v, "needs"), text(v, "err")})
	}
	if len(results) != want {
		t.Fatalf("%d cases ran, %d are in the file", len(results), want)
	}
	return results
}

// apiTable is the chapter of the book that the cases make.
func apiTable(cases []apiResult) string {
	var b bytes.Buffer
	b.WriteString("# The functions of skynet, one by one\n\n")
	b.WriteString("This page is written by a test (`go test ./lua -run TestTheAPIMeansWhatItSays -update`) from the cases in `lua/testdata/api`, which run on both engines: what is said here is held.\n")
	b.WriteString("¹ With the engine `gopher`, whose numbers are floats, an error says that the value would be rounded.\n\n")
	b.WriteString("| function | what is tested |\n| --- | --- |\n")
	about := map[string][]string{}
	for _, c := range cases {
		text := c.about
		if c.needs != "" {
			text += "¹"
		}
		about[c.name] = append(about[c.name], text)
	}
	for _, name := range slices.Sorted(maps.Keys(about)) {
		fmt.Fprintf(&b, "| `%s` | %s |\n", name, strings.ReplaceAll(strings.Join(about[name], "; "), "|", `\|`))
	}
	return b.String()
}

func checkBook(t *testing.T, want string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(apiBook, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(apiBook)
	if err != nil || string(got) != want {
		t.Errorf("%s is not what the tests say (%v): go test ./lua -run %s -update writes it", apiBook, err, t.Name())
	}
}
