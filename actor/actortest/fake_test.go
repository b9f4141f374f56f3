package actortest_test

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/actor"
	"github.com/skua-go/skua/actor/actortest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// verdict is a test that keeps what is said of it.
type verdict struct {
	mu       sync.Mutex
	errors   []string
	logs     []string
	cleanups []func()
}

func (v *verdict) Helper()          {}
func (v *verdict) Name() string     { return "TestOfATest" }
func (v *verdict) Cleanup(f func()) { v.cleanups = append(v.cleanups, f) }

func (v *verdict) Logf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.logs = append(v.logs, fmt.Sprintf(format, args...))
}

func (v *verdict) Errorf(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.errors = append(v.errors, fmt.Sprintf(format, args...))
}

func (v *verdict) Fatalf(format string, args ...any) {
	v.Errorf(format, args...)
	runtime.Goexit()
}

func (v *verdict) Failed() bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return len(v.errors) > 0
}

func (v *verdict) end() {
	for _, f := range slices.Backward(v.cleanups) {
		f()
	}
}

// judge runs a test of a test, and returns what was said of it. What the test leaves behind, after has to end.
func judge(t *testing.T, cfg actortest.Config, test func(k *actortest.Kit), after ...func()) *verdict {
	t.Helper()
	v := &verdict{}
	synctest.Test(t, func(*testing.T) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer v.end()
			test(cfg.New(v))
		}()
		<-done
		for _, f := range after {
			f()
		}
	})
	return v
}

// wantFailure is for a test that must fail once, with these texts in what is said.
func wantFailure(t *testing.T, v *verdict, texts ...string) {
	t.Helper()
	if len(v.errors) != 1 {
		t.Fatalf("failed %d times, want once: %q", len(v.errors), v.errors)
	}
	for _, text := range texts {
		if !strings.Contains(v.errors[0], text) {
			t.Errorf("the failure does not say %q: %s", text, v.errors[0])
		}
	}
}

func wantPass(t *testing.T, v *verdict) {
	t.Helper()
	if v.Failed() {
		t.Fatalf("failed: %q", v.errors)
	}
}

// everyDispatch runs a test with each of them.
func everyDispatch(t *testing.T, test func(t *testing.T, k *actortest.Kit), options ...func(cfg *actortest.Config)) {
	t.Helper()
	for name, d := range map[string]actortest.Dispatch{"workers": actortest.Workers, "manual": actortest.Manual, "shuffled": actortest.Shuffled} {
		cfg := actortest.Config{Dispatch: d}
		for _, option := range options {
			option(&cfg)
		}
		t.Run(name, func(t *testing.T) { cfg.Run(t, test) })
	}
}

// spawn starts an actor of one function.
func spawn(k *actortest.Kit, name string, f actor.Func) actor.Ref {
	return k.Spawn(actor.Spec{Name: name, New: func() actor.Actor { return f }})
}
