// Package corpus is for tests that run services written as studios write them: a folder of scripts, each of which is the first service of a node of its own,
// asserts what it relies on and prints "ok" at its end. A script's first lines may say more of it:
//
//	-- expect: TEXT      a warning or an error with this text is logged
//	-- may: TEXT         a warning or an error with this text is logged, or is not: that depends on who is faster
//	-- only: ENGINE      the other engine can't run it
package corpus

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
)

// patience is how long a script may take, of a time that costs nothing unless Corpus.Real is set.
const patience = 100 * time.Hour

// realPatience is how long it may take with Corpus.Real.
const realPatience = time.Minute

// Corpus is a folder of scripts and the node that they run in.
type Corpus struct {
	Files fs.FS
	// Parts makes what a node has beside scripts: actors, which start before the launcher, and modules. It may be nil.
	Parts func(log *slog.Logger, files fs.FS, engine vm.Engine) ([]actor.Spec, []lua.Module)
	// Real has the scripts run in the time of the machine: they have sockets.
	Real bool
}

// Engines are those that scripts run on.
func Engines(tb testing.TB) []vm.Engine {
	tb.Helper()
	second, err := gopher.New(gopher.Config{})
	if err != nil {
		tb.Fatal(err)
	}
	return []vm.Engine{lua54.Engine{}, second}
}

// Mains lists the scripts at the folder's top. Those in its sub-folders are services and modules that these start and require.
func (c Corpus) Mains(tb testing.TB) []string {
	tb.Helper()
	files, err := fs.Glob(c.Files, "*.lua")
	if err != nil {
		tb.Fatal(err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, ".lua")
	}
	return files
}

// Run runs all scripts on all engines.
func (c Corpus) Run(t *testing.T) {
	t.Helper()
	for _, engine := range Engines(t) {
		t.Run(engine.Name(), func(t *testing.T) {
			for _, main := range c.Mains(t) {
				t.Run(main, func(t *testing.T) {
					head := c.head(t, main)
					if head.only != "" && head.only != engine.Name() {
						t.Skipf("it is for %s", head.only)
					}
					if c.Real {
						c.one(t, engine, main, head)
						return
					}
					synctest.Test(t, func(t *testing.T) { c.one(t, engine, main, head) })
				})
			}
		})
	}
}

// head is what a script says of itself.
type head struct {
	expect []string
	may    []string
	only   string
}

func (c Corpus) head(tb testing.TB, main string) head {
	tb.Helper()
	text, err := fs.ReadFile(c.Files, main+".lua")
	if err != nil {
		tb.Fatal(err)
	}
	var h head
	for line := range strings.Lines(string(text)) {
		line, ok := strings.CutPrefix(strings.TrimSpace(line), "-- ")
		if !ok {
			break
		}
		if what, found := strings.CutPrefix(line, "expect: "); found {
			h.expect = append(h.expect, what)
		}
		if what, found := strings.CutPrefix(line, "may: "); found {
			h.may = append(h.may, what)
		}
		if what, found := strings.CutPrefix(line, "only: "); found {
			h.only = what
		}
	}
	return h
}

func (c Corpus) one(t *testing.T, engine vm.Engine, main string, head head) {
	t.Helper()
	out := &output{done: make(chan struct{}), main: main, head: head}
	log := slog.New(slog.NewTextHandler(out, nil))
	var actors []actor.Spec
	var modules []lua.Module
	if c.Parts != nil {
		actors, modules = c.Parts(log, c.Files, engine)
	}
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: c.Files, Library: scripts.FS(), Log: log, Engine: engine, Modules: modules, Env: map[string]string{"corpus": "yes"},
	})
	if err != nil {
		t.Fatal(err)
	}
	sys := actor.New(actor.Config{Log: log})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), realPatience)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		out.check(t)
	}()
	for _, spec := range append(actors, rt.Launcher()) {
		if _, err := sys.Spawn(spec); err != nil {
			t.Error(err)
			return
		}
	}
	limit := patience
	if c.Real {
		limit = realPatience
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	launcher, _ := sys.Lookup(lua.LauncherName)
	if _, err := sys.Ask(ctx, launcher, lua.Launch{Script: main}); err != nil {
		t.Errorf("%s did not start: %v", path.Base(main), err)
		return
	}
	select {
	case <-out.done:
	case <-ctx.Done():
		t.Error("it has not said ok")
	}
}

// output is the node's log.
type output struct {
	main string
	head head
	done chan struct{} // closed when the script has said ok, or failed

	mu     sync.Mutex
	text   bytes.Buffer
	ok     bool
	closed bool
	wrong  []string
	seen   []string
}

// Write takes a line.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text.Write(line)
	text := string(line)
	if strings.Contains(text, " msg=ok service="+o.main+":") {
		o.ok = true
		o.end()
	}
	if !strings.Contains(text, " level=WARN ") && !strings.Contains(text, " level=ERROR ") {
		return len(line), nil
	}
	has := func(want string) bool {
		return strings.Contains(text, want) || strings.Contains(strings.ReplaceAll(text, `\"`, `"`), want)
	}
	switch i := slices.IndexFunc(o.head.expect, has); {
	case i >= 0:
		o.seen = append(o.seen, o.head.expect[i])
	case !slices.ContainsFunc(o.head.may, has):
		o.wrong = append(o.wrong, text)
		o.end()
	}
	return len(line), nil
}

func (o *output) end() {
	if !o.closed {
		o.closed = true
		close(o.done)
	}
}

func (o *output) check(t *testing.T) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, line := range o.wrong {
		t.Errorf("unexpected: %s", strings.ReplaceAll(line, `\n`, "\n"))
	}
	for _, want := range o.head.expect {
		if !slices.Contains(o.seen, want) {
			t.Errorf("nothing was logged with %q", want)
		}
	}
	if !o.ok {
		t.Error("the script has not said ok")
	}
	if t.Failed() {
		t.Logf("the log:\n%s", o.text.String())
	}
}
