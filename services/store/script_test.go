package store_test

import (
	"context"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
)

// service starts a service of a script whose handlers are these.
func (r *rig) service(handlers string) actor.Ref {
	r.Helper()
	text := "local store = require 'store'\nlocal M = {}\n" + handlers + "\nreturn M"
	rt, err := lua.NewRuntime(lua.Config{
		Scripts: fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(text)}}, Library: scripts.FS(), Log: slog.New(slog.NewTextHandler(r.log, nil)),
		Modules: []lua.Module{documents.New(documents.Config{}).Module()},
	})
	if err != nil {
		r.Fatal(err)
	}
	ref, err := r.sys.Spawn(rt.Spec("main", value.List{}))
	if err != nil {
		r.Fatal(err)
	}
	if _, err := r.sys.Ask(context.Background(), ref, lua.Ready{}); err != nil {
		r.Fatal(err)
	}
	return ref
}

// call gives a handler's results as text, or its error.
func (r *rig) call(ref actor.Ref, cmd string, args ...any) string {
	r.Helper()
	v, err := r.sys.Ask(context.Background(), ref, lua.Command(cmd, args...))
	if err != nil {
		return "error: " + err.Error()
	}
	var all []string
	for _, e := range v.(value.List).All {
		all = append(all, e.String())
	}
	return strings.Join(all, " ")
}

const agent = `
function M.claim(self, id) return store.claim("player", id) end
function M.load(self, id) return store.load("player", id) end
function M.save(self, id, body) store.save("player", id, body) return true end
function M.commit(self, id, body) store.commit("player", id, body) return true end
function M.release(self, id) store.release("player", id) return true end
function M.fill(self, id)
  store.commit("player", id, { gold = 9007199254740993, hp = 1.0, name = "Ann", bag = { { "sword", 1 }, {} }, dead = false })
  return math.type(store.load("player", id).gold), math.type(store.load("player", id).hp)
end
function M.bad(self, id) store.save("player", id, { bag = { 1, { x = 1, 2 } } }) end
function M.worse(self, id) store.commit("player", id, { bag = { ["a\0b"] = 1 } }) end
function M.list(self, id) store.save("player", id, { 1, 2 }) end
function M.func(self, id) store.save("player", id, { bag = { print } }) end
function M.try(self, id, body) return pcall(store.commit, "player", id, body) end
`

func TestScriptsClaimLoadSaveAndCommit(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		a, b := r.service(agent), r.service(agent)
		for _, step := range []struct {
			who  actor.Ref
			cmd  string
			args []any
			want string
		}{
			{a, "load", []any{"ann"}, "nil"},
			{a, "claim", []any{"ann"}, "nil"},
			{a, "load", []any{"ann"}, "nil"},
			{a, "fill", []any{"ann"}, `"integer" "float"`},
			{b, "load", []any{"ann"}, `{bag = {{"sword", 1}, {}}, dead = false, gold = 9007199254740993, hp = 1, name = "Ann"}`},
			{a, "save", []any{"ann", map[string]any{"gold": 2}}, "true"},
			{b, "load", []any{"ann"}, "{gold = 2}"}, // also before it is written
			{a, "release", []any{"ann"}, "true"},
			{b, "claim", []any{"ann"}, "{gold = 2}"},
			{b, "commit", []any{"ann", map[string]any{}}, "true"},
			{b, "load", []any{"ann"}, "{}"},
		} {
			if got := r.call(step.who, step.cmd, step.args...); got != step.want {
				t.Errorf("%s %v: got %s, want %s", step.cmd, step.args, got, step.want)
			}
		}
	})
}

func TestErrorsOfScriptsNameTheDocumentAndThePath(t *testing.T) {
	in(t, store.Config{}, func(t *testing.T, r *rig) {
		a := r.service(agent)
		r.call(a, "claim", "ann")
		for cmd, want := range map[string]string{
			"bad":   "store: invalid: player/ann.bag[2]: a table with a list of 1 and 1 other keys can't be kept; use two tables",
			"worse": `store: invalid: player/ann.bag["a\x00b"]: the key has a zero byte`,
			"list":  "store: invalid: player/ann: a document has fields with names, and this is a list",
			"func":  "store: invalid: player/ann.bag[1]: a function can't be kept",
		} {
			if got := r.call(a, cmd, "ann"); !strings.Contains(got, want) {
				t.Errorf("%s: got %s\nwant %s", cmd, got, want)
			}
		}
		for _, c := range []struct{ cmd, id, want string }{
			{"save", "bob", "store: not the owner: player/bob must be claimed first"},
			{"release", "bob", "store: not the owner: player/bob"},
			{"claim", "a\nb", `store: invalid: id "a\nb" of kind player: has a control character`},
		} {
			if got := r.call(a, c.cmd, c.id, map[string]any{}); !strings.Contains(got, c.want) {
				t.Errorf("%s: got %s\nwant %s", c.cmd, got, c.want)
			}
		}
		for _, msg := range []lua.Message{lua.Command("steal", "player", "x"), lua.Command("claim", "player"), lua.Command("claim", 1, 2)} {
			if _, err := r.sys.Ask(t.Context(), r.store, msg); err == nil || !strings.HasPrefix(err.Error(), "store: ") {
				t.Errorf("%v: got %v", msg, err)
			}
		}
		if r.sys.Stats().Failures != 0 {
			t.Error("the store panicked")
		}
	})
}

func TestAScriptHearsOfAnOutageAndItsChangesAreKept(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
		a := r.service(agent)
		r.call(a, "claim", "ann")
		back := r.db.cut()
		for range 2 { // by the batch that fails, and when the outage is known
			if got := r.call(a, "try", "ann", map[string]any{"n": 1}); !strings.HasPrefix(got, "false ") || !strings.Contains(got, "store: unavailable: commit player/ann (kept until the database is back): connection refused") {
				t.Errorf("got %s", got)
			}
		}
		if got := r.call(a, "claim", "bob"); !strings.Contains(got, "store: unavailable: claim player/bob") {
			t.Errorf("got %s", got)
		}
		back()
		pass(time.Minute)
		r.has("ann", 1)
	})
}

func TestAFencedScriptIsStoppedWithTheReason(t *testing.T) {
	in(t, store.Config{Autosave: 10 * time.Millisecond}, func(t *testing.T, r *rig) {
		a := r.service(agent + `function M.stop(self, reason) print("stopped: " .. reason) end`)
		r.call(a, "claim", "ann")
		r.call(a, "save", "ann", map[string]any{"n": 1})
		if _, err := r.db.Backend.Claim(t.Context(), "player", "ann", 0); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if got := r.call(a, "load", "ann"); !strings.Contains(got, "no such actor") {
			t.Errorf("the service lives: %s", got)
		}
		if r.log.Count("stopped: store: fenced: player/ann: the writer owns epoch 1, the database is at 2") != 1 {
			t.Error("it did not hear why")
		}
		// The next login works.
		b := r.service(agent)
		if got := r.call(b, "claim", "ann"); got != "nil" {
			t.Errorf("got %s", got)
		}
		if got := r.call(b, "commit", "ann", map[string]any{"n": 2}); got != "true" {
			t.Errorf("got %s", got)
		}
		r.has("ann", 2)
	})
}
