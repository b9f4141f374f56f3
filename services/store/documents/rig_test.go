package documents_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/value"
	"github.com/skua-go/skua/internal/logtest"
	"github.com/skua-go/skua/lua"
	"github.com/skua-go/skua/lua/gopher"
	"github.com/skua-go/skua/lua/lua54"
	"github.com/skua-go/skua/lua/vm"
	"github.com/skua-go/skua/scripts"
	"github.com/skua-go/skua/services/store"
	"github.com/skua-go/skua/services/store/documents"
	"github.com/skua-go/skua/services/store/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// database is a real one that remembers what was written, and can be cut off.
type database struct {
	store.Backend

	mu     sync.Mutex
	writes []store.Write
	times  []time.Time // of these
	away   bool
	refuse error // what all writes get
	slow   time.Duration
}

func (d *database) Apply(ctx context.Context, writes []store.Write) ([]error, error) {
	d.mu.Lock()
	away, refuse, slow := d.away, d.refuse, d.slow
	if !away && refuse == nil {
		d.writes = append(d.writes, writes...)
		for range writes {
			d.times = append(d.times, time.Now())
		}
	}
	d.mu.Unlock()
	if away {
		return nil, &store.UnavailableError{Op: "apply", Err: fmt.Errorf("connection refused")}
	}
	if refuse != nil {
		errs := make([]error, len(writes))
		for i := range errs {
			errs[i] = refuse
		}
		return errs, nil
	}
	time.Sleep(slow) //nolint:forbidigo // fake time
	return d.Backend.Apply(ctx, writes)
}

func (d *database) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

// written is how often a document was written.
func (d *database) written(id string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for _, w := range d.writes {
		if w.ID == id {
			n++
		}
	}
	return n
}

// rig is a node's part that keeps documents, in a bubble of its own time.
type rig struct {
	testing.TB
	db     *database
	sys    *actor.System
	log    *logtest.Buffer
	rt     *lua.Runtime
	store  actor.Ref
	launch actor.Ref
	epochs sync.Map // actor.Ref to uint64: of services that are grains
}

func (r *rig) epoch(service actor.Ref) uint64 {
	v, _ := r.epochs.Load(service)
	n, _ := v.(uint64)
	return n
}

func engines(t testing.TB) map[string]vm.Engine {
	t.Helper()
	floats, err := gopher.New(gopher.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return map[string]vm.Engine{"lua54": lua54.New(), "gopher": floats}
}

// in runs a test on each engine, with a node that has the script main.lua, whose handlers are given, and other files as name, text.
func in(t *testing.T, handlers string, run func(t *testing.T, r *rig), files ...string) {
	t.Helper()
	for name, engine := range engines(t) {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				t.Helper()
				r := newRig(t, engine, handlers, files...)
				defer r.stop()
				run(t, r)
			})
		})
	}
}

func indexes() []store.Index {
	return []store.Index{{Kind: "player", Name: "level", Fields: []string{"guild", "level"}}}
}

const autosave = 2 * time.Second

func newRig(t testing.TB, engine vm.Engine, handlers string, files ...string) *rig {
	t.Helper()
	db, err := sqlite.Open(t.Context(), sqlite.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, db: &database{Backend: db}, log: &logtest.Buffer{}}
	logger := slog.New(slog.NewTextHandler(r.log, nil))
	tree := fstest.MapFS{"main.lua": &fstest.MapFile{Data: []byte(prelude + handlers + "\nreturn M")}}
	for i := 0; i < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	r.sys = actor.New(actor.Config{Log: logger})
	if r.store, err = r.sys.Spawn(store.Spec(store.Config{Backend: r.db, Autosave: autosave, CacheTTL: -1, Indexes: indexes()})); err != nil {
		t.Fatal(err)
	}
	r.rt, err = lua.NewRuntime(lua.Config{
		Scripts: tree, Library: scripts.FS(), Log: logger, Engine: engine, Modules: []lua.Module{documents.New(documents.Config{Autosave: autosave, Epoch: r.epoch}).Module()},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.launch, err = r.sys.Spawn(r.rt.Launcher()); err != nil {
		t.Fatal(err)
	}
	return r
}

// prelude is what all test scripts begin with: a service that opens one document.
const prelude = `
local skynet, store, bson = require "skynet", require "store", require "bson"
local M = {}
function M.open(self, id, defaults) self.p = store.open("player", id, defaults) return true end
function M.commit(self) self.p:commit() return true end
function M.save(self) self.p:save() return true end
function M.close(self) self.p:close() return true end
function M.version(self) return self.p:version() end
function M.get(self, k) return self.p[k] end
function M.set(self, k, v) self.p[k] = v return true end
function M.load(self, id) return store.load("player", id) end
function M.nothing() return true end
`

func (r *rig) stop() {
	r.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	if err := r.sys.Shutdown(ctx); err != nil {
		r.Error(err)
	}
	if err := r.db.Close(); err != nil {
		r.Error(err)
	}
	if r.Failed() {
		r.Logf("the log:\n%s", r.log)
	}
}

// service starts a service of main.lua.
func (r *rig) service() actor.Ref { return r.start(lua.Launch{Script: "main"}) }

// agent starts one that shares a VM with others.
func (r *rig) agent() actor.Ref { return r.start(lua.Launch{Script: "main", Shared: true}) }

func (r *rig) start(m lua.Launch) actor.Ref {
	r.Helper()
	v, err := r.sys.Ask(context.Background(), r.launch, m)
	if err != nil {
		r.Fatalf("launch: %v\n%s", err, r.log)
	}
	return v.(actor.Ref)
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

// want fails unless a handler's results are this text, or its error has this text.
func (r *rig) want(want string, ref actor.Ref, cmd string, args ...any) {
	r.Helper()
	got := r.call(ref, cmd, args...)
	if isError := strings.HasPrefix(want, "error: "); got == want || isError && strings.HasPrefix(got, "error: ") && strings.Contains(got, want[7:]) {
		return
	}
	r.Errorf("%s %v: got  %s\nwant %s", cmd, args, got, want)
}

// pass lets time pass, of which there is as much as a test wants.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// put writes a document as another program would.
func (r *rig) put(id string, body any) {
	r.Helper()
	raw, err := bson.Marshal(body)
	if err != nil {
		r.Fatal(err)
	}
	doc, err := r.db.Load(context.Background(), "player", id)
	if err != nil && doc.Exists() {
		r.Fatal(err)
	}
	errs, err := r.db.Backend.Apply(context.Background(), []store.Write{{
		Kind: "player", ID: id, Version: doc.Version, Epoch: doc.Epoch, Nonce: store.NewNonce(), Body: raw,
	}})
	if err != nil || errs[0] != nil {
		r.Fatal(err, errs)
	}
}

// has fails unless the database has this content, as extended JSON.
func (r *rig) has(id, want string) {
	r.Helper()
	doc, err := r.db.Load(context.Background(), "player", id)
	if err != nil {
		r.Errorf("%s: %v, want %s", id, err, want)
		return
	}
	got, err := bson.MarshalExtJSON(doc.Body, false, false)
	if err != nil {
		r.Error(err)
	}
	if sorted(r, string(got)) != sorted(r, want) {
		r.Errorf("the database has of %s\n%s, want\n%s", id, got, want)
	}
}

// sorted is JSON with its keys in order.
func sorted(r *rig, text string) string {
	r.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		r.Fatal(err)
	}
	out, err := json.Marshal(v)
	if err != nil {
		r.Fatal(err)
	}
	return string(out)
}

// lacks fails if the database has a document.
func (r *rig) lacks(id string) {
	r.Helper()
	if doc, err := r.db.Load(context.Background(), "player", id); doc.Exists() {
		r.Errorf("the database has %s: %v, %v", id, doc.Body, err)
	}
}
