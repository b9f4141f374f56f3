// Package storetest is the contract of store.Backend as a test suite, for any backend.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/skua-go/skua/services/store"
)

// Ability is something that the contract asks for and that a server used for testing may not have.
type Ability string

// What may be missing.
const (
	Atomic         Ability = "concurrent writes and claims of one document are exact"
	Concurrent     Ability = "many clients at once are served"
	Decimal128     Ability = "Decimal128 values are kept"
	MinMaxKeys     Ability = "min and max keys are kept"
	SpecialDoubles Ability = "NaN, infinities and -0 are kept"
	IDField        Ability = "a field _id keeps its place among the others"
	NestedArrays   Ability = "arrays in arrays are kept"
	KeysAlone      Ability = "a document in another is written whose keys alone have changed"
	Deep           Ability = "bodies of MaxDepth levels are kept"
	Large          Ability = "bodies of MaxBody bytes are kept"
	Indexed        Ability = "indexes are built and serve queries"
	Unique         Ability = "unique indexes hold"
	Expiry         Ability = "documents expire"
)

// Options says what a backend's server can't show.
type Options struct {
	// Cannot has the reason for each ability that is missing. The tests for it are skipped, by name and with the reason.
	Cannot map[Ability]string
	// Expires is how long after its time a document may still be there. Default 3 minutes: MongoDB looks each minute.
	Expires time.Duration
	// Slow is for a server for tests that takes long for what a database does at once: tests that repeat a thing at random do so less often.
	Slow bool
	// Notes say what passes here and proves less than it seems to.
	Notes []string
}

// Open opens the database of a name, which is empty the first time. The backend is closed at the test's end by whoever
// implements it; the test may have closed it before.
type Open func(tb testing.TB, name string) store.Backend

// Run runs the suite, each test on a database of its own.
func Run(t *testing.T, open Open, opt Options) {
	t.Helper()
	for _, ability := range slices.Sorted(maps.Keys(opt.Cannot)) {
		t.Logf("can't be shown here: %s: %s", ability, opt.Cannot[ability])
	}
	for _, note := range opt.Notes {
		t.Logf("shown in part: %s", note)
	}
	for i, c := range slices.Concat(basics(), values(), hostile(), concurrent(), patches(), reading(), indexes(), queries()) {
		t.Run(c.name, func(t *testing.T) {
			if why, missing := opt.Cannot[c.needs]; missing {
				t.Skipf("can't be shown here: %s: %s", c.needs, why)
			}
			name := fmt.Sprintf("contract%d", i)
			e := &env{TB: t, Backend: open(t, name), opt: opt}
			e.reopen = func() { e.Backend = open(t, name) }
			c.run(e)
		})
	}
}

type testcase struct {
	name  string
	needs Ability // empty: no more than the contract's core
	run   func(*env)
}

// env is a test with its backend.
type env struct {
	testing.TB
	store.Backend
	reopen func()
	opt    Options
}

var serial atomic.Int64 //nolint:gochecknoglobals // one count for all suites of a process, so that ids never meet

// id is one that no other test uses.
func id(prefix string) string { return fmt.Sprintf("%s-%d", prefix, serial.Add(1)) }

func body(tb testing.TB, fields ...any) bson.Raw {
	tb.Helper()
	d := bson.D{}
	for i := 0; i+1 < len(fields); i += 2 {
		key := fields[i].(string) //nolint:forcetypeassert // a test's own literal
		d = append(d, bson.E{Key: key, Value: fields[i+1]})
	}
	raw, err := bson.Marshal(d)
	if err != nil {
		tb.Fatal(err)
	}
	return raw
}

// write is a write with a nonce of its own and a body that says n.
func write(tb testing.TB, kind, id string, version, epoch int64, n int64) store.Write {
	tb.Helper()
	return store.Write{Kind: kind, ID: id, Version: version, Epoch: epoch, Nonce: store.NewNonce(), Body: body(tb, "n", n)}
}

// one applies one write and returns its result.
func (e *env) one(w store.Write) error {
	e.Helper()
	errs, err := e.Apply(context.Background(), []store.Write{w})
	if err != nil {
		return err
	}
	if len(errs) != 1 {
		e.Fatalf("Apply of one write gave %d results", len(errs))
	}
	return errs[0]
}

// settle applies writes as a careful caller does: those that should be tried again are.
func (e *env) settle(writes []store.Write) []error {
	e.Helper()
	results, todo := make([]error, len(writes)), make([]int, len(writes))
	for i := range todo {
		todo[i] = i
	}
	for range 2 + len(writes) {
		batch := make([]store.Write, len(todo))
		for i, at := range todo {
			batch[i] = writes[at]
		}
		errs, err := e.Apply(context.Background(), batch)
		if err != nil || len(errs) != len(batch) {
			e.Fatalf("a batch of %d: %d results, %v", len(batch), len(errs), err)
		}
		var again []int
		for i, at := range todo {
			if results[at] = errs[i]; store.Retryable(errs[i]) {
				again = append(again, at)
			}
		}
		if todo = again; len(todo) == 0 {
			return results
		}
	}
	e.Fatalf("after many tries: %v", errors.Join(results...))
	return nil
}

func (e *env) must(w store.Write) {
	e.Helper()
	if err := e.one(w); err != nil {
		e.Fatal(err)
	}
}

func (e *env) claim(kind, id string) store.Doc {
	e.Helper()
	return e.claimIn(kind, id, 0)
}

func (e *env) claimIn(kind, id string, epoch int64) store.Doc {
	e.Helper()
	doc, err := e.Claim(context.Background(), kind, id, epoch)
	if err != nil {
		e.Fatal(err)
	}
	return doc
}

// expect loads a document and compares; a nil body stands for one without content.
func (e *env) expect(kind, id string, version, epoch int64, want bson.Raw) {
	e.Helper()
	doc, err := e.Load(context.Background(), kind, id)
	if want == nil && !errors.Is(err, store.ErrNotFound) || want != nil && err != nil {
		e.Fatalf("load %s/%s: %v", kind, id, err)
	}
	e.same(doc, store.Doc{Kind: kind, ID: id, Version: version, Epoch: epoch, Body: want})
}

func (e *env) same(got, want store.Doc) {
	e.Helper()
	if got.Kind != want.Kind || got.ID != want.ID || got.Version != want.Version || got.Epoch != want.Epoch || !bytes.Equal(got.Body, want.Body) {
		e.Fatalf("got  %s\nwant %s", show(got), show(want))
	}
}

func show(d store.Doc) string {
	text := fmt.Sprintf("%d bytes", len(d.Body))
	if len(d.Body) < 1000 {
		text = d.Body.String()
	}
	return fmt.Sprintf("%s version %d epoch %d: %s", store.Name(d.Kind, d.ID), d.Version, d.Epoch, text)
}

// is fails unless err is of a class and its text has all parts.
func (e *env) is(err, class error, parts ...string) {
	e.Helper()
	if !errors.Is(err, class) {
		e.Fatalf("got %v, want %v", err, class)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			e.Fatalf("%q does not say %q", err, part)
		}
	}
}
