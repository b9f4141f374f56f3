package record_test

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
	"github.com/skua-go/skua/actor/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// file is a recording in memory.
type file struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (f *file) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.buf.Write(p)
}

func (f *file) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.buf.String()
}

func spawn(k *actortest.Kit, name string, f actor.Func) actor.Ref {
	return k.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }})
}

func ignore(*actor.Context, any) {}

func start(t actortest.TB, k *actortest.Kit, ref actor.Ref, f *file, types *record.Registry) *record.Recorder {
	t.Helper()
	rec, err := record.Start(k.System, ref, f, types)
	if err != nil {
		t.Fatalf("%v", err)
	}
	return rec
}

func mustClose(t actortest.TB, rec *record.Recorder) {
	t.Helper()
	if err := rec.Close(); err != nil {
		t.Fatalf("%v", err)
	}
}

// entries are all entries of a recording, and its errors.
func entries(t *testing.T, text string, types *record.Registry) ([]record.Entry, []error) {
	t.Helper()
	rec, err := record.Read(strings.NewReader(text), types)
	if err != nil {
		return nil, []error{err}
	}
	var all []record.Entry
	var errs []error
	for e, err := range rec.Entries() {
		if err != nil {
			errs = append(errs, err)
			continue
		}
		all = append(all, e)
	}
	return all, errs
}

func messages(all []record.Entry) []any {
	var msgs []any
	for _, e := range all {
		msgs = append(msgs, e.Message)
	}
	return msgs
}

func wantErr(t *testing.T, err, want error, texts ...string) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("got error %v, want %v", err, want)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("the error %q does not say %q", err, text)
		}
	}
}
