package lua_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/corpus"
	"github.com/skua-go/skua/lua/reload"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// TestReload runs the cases of testdata/reload on both engines. A case is a project in several versions, v1/main.lua, v2/main.lua and so on (what a version
// does not
// have it has of the one before; a file that is only a comment "-- gone" is not there), and steps, one a line:
//
//	call NAME ARGS = RESULTS      sends a message to the service of main.lua, and compares what it answers
//	call NAME ARGS ! TEXT         which fails with that
//	begin NAME ARGS               sends one without waiting
//	end = RESULTS                 waits for what has been sent so first
//	sleep 2s
//	reload                        goes over to the next version
//	reload ! TEXT                 which fails with that, and changes nothing
//	back                          goes over to the version before, as a downgrade
//	plan TEXT, no plan TEXT       is, or is not, in the plan of the last reload
//	report TEXT, no report TEXT   is, or is not, in its report, as JSON
//	log TEXT                      is in the log
//	running TEXT, no running TEXT is, or is not, in what lua.AskRunning tells of handlers with old code: "since v1", and where they wait
//	also NAME                     the service whose address that handler answers goes over with main.lua's from now on
//	agent NAME                    starts one more agent of main.lua in the same VM, for "call NAME:..."
//
// The first lines may say "only: ENGINE" and "shared", for agents that share a VM.
func TestReload(t *testing.T) {
	cases, err := fs.Glob(os.DirFS("testdata/reload"), "*.txt")
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) < 60 {
		t.Errorf("%d cases, 60 are to be there", len(cases))
	}
	for _, engine := range corpus.Engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			for _, file := range cases {
				t.Run(strings.TrimSuffix(file, ".txt"), func(t *testing.T) {
					a, err := txtar.ParseFile("testdata/reload/" + file)
					if err != nil {
						t.Fatal(err)
					}
					head := string(a.Comment)
					if _, only, ok := strings.Cut(head, "only: "); ok && strings.Fields(only)[0] != engine.Name() {
						t.Skip("it is for the other engine")
					}
					synctest.Test(t, func(t *testing.T) { newReloadCase(t, engine, a).run() })
				})
			}
		})
	}
}

type reloadCase struct {
	t        *testing.T
	engine   vm.Engine
	versions []*reload.Version
	steps    []string
	at       int
	shared   bool
	sys      *actor.System
	rt       *lua.Runtime
	log      *logtest.Buffer
	refs     map[string]actor.Ref
	begun    []chan string
	also     []actor.Ref
	plan     string
	report   string
}

func newReloadCase(t *testing.T, engine vm.Engine, a *txtar.Archive) *reloadCase {
	c := &reloadCase{t: t, engine: engine, refs: map[string]actor.Ref{}, log: &logtest.Buffer{}}
	c.shared = strings.Contains("\n"+string(a.Comment), "\nshared")
	texts := map[string]map[string]string{}
	for _, f := range a.Files {
		if f.Name == "steps" {
			c.steps = strings.Split(strings.TrimSpace(string(f.Data)), "\n")
			continue
		}
		version, name, _ := strings.Cut(f.Name, "/")
		if texts[version] == nil {
			texts[version] = map[string]string{}
		}
		texts[version][name] = string(f.Data)
	}
	files := map[string]string{}
	for _, v := range slices.Sorted(maps.Keys(texts)) {
		for name, text := range texts[v] {
			if files[name] = text; strings.TrimSpace(text) == "-- gone" {
				delete(files, name)
			}
		}
		c.versions = append(c.versions, reload.NewVersion(files))
	}
	return c
}

func (c *reloadCase) run() {
	tree := fstest.MapFS{}
	for _, name := range c.versions[0].Files() {
		text, _ := c.versions[0].Text(name)
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	logger := slog.New(slog.NewTextHandler(c.log, nil))
	rt, err := lua.NewRuntime(lua.Config{Scripts: tree, Library: scripts.FS(), Log: logger, Engine: c.engine})
	if err != nil {
		c.t.Fatal(err)
	}
	rt.Use(c.versions[0])
	c.rt = rt
	c.sys = actor.New(actor.Config{Log: logger})
	defer func() {
		if err := c.sys.Shutdown(context.Background()); err != nil {
			c.t.Error(err)
		}
		if c.t.Failed() {
			c.t.Logf("the log:\n%s", c.log.String())
		}
	}()
	if _, err := c.sys.Spawn(rt.Launcher()); err != nil {
		c.t.Fatal(err)
	}
	c.launch("main")
	for i, line := range c.steps {
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if err := c.step(line); err != nil {
			c.t.Errorf("step %d: %s: %v\nplan: %s\nreport: %s", i+1, line, err, c.plan, c.report)
			return
		}
	}
}

func (c *reloadCase) launch(name string) {
	l, _ := c.sys.Lookup(lua.LauncherName)
	v, err := c.sys.Ask(context.Background(), l, lua.Launch{Script: "main", Shared: c.shared})
	if err != nil {
		c.t.Fatal(err)
	}
	c.refs[name] = v.(actor.Ref)
}

func (c *reloadCase) step(line string) error {
	verb, rest, _ := strings.Cut(line, " ")
	switch verb {
	case "call":
		got, want, fails := c.split(rest)
		return expect(<-c.send(got), want, fails)
	case "begin":
		c.begun = append(c.begun, c.send(rest))
		synctest.Wait()
	case "end":
		_, want, fails := c.split(" " + rest)
		first := c.begun[0]
		c.begun = c.begun[1:]
		return expect(<-first, want, fails)
	case "sleep":
		d, err := time.ParseDuration(rest)
		time.Sleep(d) //nolint:forbidigo // fake time
		synctest.Wait()
		return err
	case "also":
		id, err := strconv.ParseUint(<-c.send(rest), 10, 64)
		c.also = append(c.also, c.sys.RefOf(id))
		return err
	case "agent":
		c.launch(rest)
	case "reload", "back":
		return c.reload(verb == "back", strings.TrimPrefix(rest, "! "))
	case "plan", "report", "log", "running", "no":
		return c.contains(verb, rest)
	default:
		return errors.New("no such step")
	}
	return nil
}

func (c *reloadCase) contains(verb, rest string) error {
	negate := verb == "no"
	if negate {
		verb, rest, _ = strings.Cut(rest, " ")
	}
	text := map[string]string{"plan": c.plan, "report": c.report, "log": c.log.String(), "running": c.running()}[verb]
	if strings.Contains(text, rest) == negate {
		return fmt.Errorf("it is in %s: %v", verb, negate)
	}
	return nil
}

// running is what the service of main.lua tells of its handlers with old code.
func (c *reloadCase) running() string {
	v, err := c.sys.Ask(context.Background(), c.refs["main"], lua.AskRunning{})
	if err != nil {
		return "error: " + err.Error()
	}
	var b strings.Builder
	for _, behind := range v.(lua.Running).Behind {
		since := slices.IndexFunc(c.versions, func(v *reload.Version) bool { return v.ID() == behind.Version })
		fmt.Fprintf(&b, "since v%d %s\n", since+1, behind.Stack)
	}
	return b.String()
}

// split cuts a call and what is expected of it.
func (*reloadCase) split(text string) (call, want string, fails bool) {
	if call, want, ok := strings.Cut(text, " ! "); ok {
		return call, want, true
	}
	call, want, _ = strings.Cut(text, "= ")
	return call, strings.TrimSpace(want), false
}

func expect(got, want string, fails bool) error {
	if fails {
		if !strings.HasPrefix(got, "error: ") || !strings.Contains(got, want) {
			return fmt.Errorf("got %s", got)
		}
		return nil
	}
	if got != want {
		return fmt.Errorf("got %s", got)
	}
	return nil
}

func (c *reloadCase) send(text string) chan string {
	words := strings.Fields(text)
	name, command := "main", words[0]
	if who, rest, ok := strings.Cut(command, ":"); ok {
		name, command = who, rest
	}
	var args []any
	for _, w := range words[1:] {
		if n, err := strconv.ParseInt(w, 10, 64); err == nil {
			args = append(args, n)
		} else {
			args = append(args, w)
		}
	}
	answer := make(chan string, 1)
	go func() {
		v, err := c.sys.Ask(context.Background(), c.refs[name], lua.Command(command, args...))
		if err != nil {
			answer <- "error: " + err.Error()
			return
		}
		var results []string
		for _, r := range v.(value.List).All {
			if s, ok := r.Str(); ok {
				results = append(results, s)
			} else {
				results = append(results, r.String())
			}
		}
		answer <- strings.Join(results, " ")
	}()
	return answer
}

func (c *reloadCase) reload(down bool, fails string) error {
	from, next := c.versions[c.at], c.at+1
	if down {
		next = c.at - 1
	}
	to := c.versions[next]
	u, err := reload.Prepare(c.engine, from, to, reload.Options{Down: down, Ran: down})
	if err == nil {
		plan, _ := json.MarshalIndent(u.Plan(), "", " ")
		c.plan = plain(plan)
		var v any
		v, err = c.sys.Ask(context.Background(), c.refs["main"], lua.Upgrade{Update: u})
		if err == nil {
			report, _ := json.MarshalIndent(v, "", " ")
			c.report = plain(report)
		}
		for _, ref := range c.also {
			if _, alsoErr := c.sys.Ask(context.Background(), ref, lua.Upgrade{Update: u}); alsoErr != nil {
				return alsoErr
			}
		}
	}
	running, askErr := c.sys.Ask(context.Background(), c.refs["main"], lua.AskRunning{})
	if askErr != nil {
		return askErr
	}
	is := running.(lua.Running).Version
	switch {
	case fails != "":
		if err == nil || !strings.Contains(err.Error(), fails) {
			return fmt.Errorf("got error %w", err)
		}
		if is != from.ID() {
			return fmt.Errorf("it runs %s and not %s", is, from.ID())
		}
		if !down {
			c.versions = slices.Delete(c.versions, next, next+1) // the next reload goes to the one behind
		}
		return nil
	case err != nil:
		return err
	case is != to.ID():
		return fmt.Errorf("it runs %s and not %s", is, to.ID())
	}
	c.rt.Use(to)
	c.at = next
	return nil
}

// plain is JSON as it is read.
func plain(text []byte) string {
	return strings.NewReplacer(`\"`, `"`, `\u003e`, ">", `\u003c`, "<", `\n`, "\n", `\t`, "\t").Replace(string(text))
}
