// Package acceptance_test holds a whole way in, from sockets to scripts, against what was promised of it: conformance of all transports and codecs, resume
// under torture, and hostile clients. docs/testing.md has a command for each.
package acceptance_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// fullVariable makes the suites as large as was promised; without it they take seconds.
const fullVariable = "SKUA_ACCEPTANCE"

// full tells whether to run the whole of it.
func full() bool { return os.Getenv(fullVariable) == "full" }

// sized is a size in a quick run, and in a full one.
func sized[T any](quick, whole T) T {
	if full() {
		return whole
	}
	return quick
}

// seedVariable repeats the luck of an earlier run, as far as luck goes: what the scheduler does is not in it.
const seedVariable = "SKUA_SEED"

func seed(t *testing.T) uint64 {
	t.Helper()
	s := rand.Uint64()
	if text := os.Getenv(seedVariable); text != "" {
		var err error
		if s, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("%s: %v", seedVariable, err)
		}
	}
	t.Logf("%s=%d", seedVariable, s)
	return s
}

// kcp-go has timer goroutines of its own that last as long as the process.
func TestMain(m *testing.M) {
	switch os.Getenv(roleVariable) {
	case roleNode:
		os.Exit(serveNode())
	case rolePlayers:
		os.Exit(servePlayers())
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"),
		goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"))
}

// patience is for what must happen; a test that takes as long has failed.
const patience = time.Minute

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// until waits for a condition that other goroutines bring about.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came true that %s", what)
		}
	}
}
