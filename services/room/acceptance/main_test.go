// Package acceptance_test holds live rooms, in the program as it is run, against what was promised of them: that slow viewers cost others nothing, that nothing is left of who has gone, and that times are
// right behind each conversion. docs/testing.md has a command for each.
package acceptance_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/skua-go/skua/internal/nodetest"
)

func TestMain(m *testing.M) {
	// kcp-go, which clients of the game bring along, has goroutines of its own that last as long as the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).sched"), goleak.IgnoreAnyFunction("github.com/xtaci/kcp-go/v5.(*TimedSched).prepend"),
		goleak.Cleanup(func(code int) {
			nodetest.Cleanup()
			os.Exit(code)
		}))
}

// full tells whether to run the whole of it: SKUA_ACCEPTANCE=full. Without it the suites take seconds.
func full() bool { return os.Getenv("SKUA_ACCEPTANCE") == "full" }

// sized is a size in a quick run, and in a full one.
func sized[T any](quick, whole T) T {
	if full() {
		return whole
	}
	return quick
}

// patience bounds what has to happen soon, on a busy machine.
const patience = time.Minute

// node is one with rooms.
type node struct {
	*nodetest.Node
	*testing.T
	dir string
}

// start runs a node whose rooms admit everybody, with this besides in its [media].
func start(t *testing.T, media string) *node {
	t.Helper()
	return launch(t, "name = \"rooms\"\n[listen]\nrtmp = \"127.0.0.1:0\"\n[media]\n"+media)
}

// launch runs one with this configuration.
func launch(t *testing.T, config string) *node {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"skua.toml": config, "scripts/main.lua": "return {}", "scripts/tape.lua": tape} {
		file := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o700), os.WriteFile(file, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	n := nodetest.Start(t, dir, "--listen-http", "127.0.0.1:0", "--listen-tcp", "off", "--listen-kcp", "off", "--admin", "127.0.0.1:0")
	return &node{Node: n, T: t, dir: dir}
}

// tape is a script of rules by which each room is recorded, as MP4 unless its name says otherwise.
const tape = `
local room = require "skua.room"
local M = {}
function M.on_publish(self, name) room.of(name):record_start{ format = (name:find("^rtsp") or name:find("^own")) and "flv" or "mp4" } return true end
function M.on_join(self) return true end
return M
`

// scrape is what the node's metrics say, by name with labels.
func (n *node) scrape() map[string]float64 {
	n.Helper()
	all := map[string]float64{}
	for line := range strings.Lines(string(n.get("http://" + n.Addr["admin"] + "/metrics"))) {
		name, value, ok := strings.Cut(strings.TrimSpace(line), " ")
		if v, err := strconv.ParseFloat(value, 64); ok && err == nil {
			all[name] = v
		}
	}
	return all
}

func (n *node) get(url string) []byte {
	n.Helper()
	resp, err := http.Get(url)
	if err != nil {
		n.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		n.Fatalf("%s: %s %v: %s", url, resp.Status, err, b)
	}
	return b
}

// until waits for a condition.
func (n *node) until(what string, met func() bool) {
	n.Helper()
	for end := time.Now().Add(patience); !met(); <-time.After(50 * time.Millisecond) {
		if time.Now().After(end) {
			n.Fatalf("not in time: %s", what)
		}
	}
}

// used is the node's memory behind a collection: what the system has given it depends on when the collector has come, and it lets tens of megabytes of garbage be.
func (n *node) used() int64 {
	n.Helper()
	n.get("http://" + n.Addr["admin"] + "/debug/pprof/heap?gc=1")
	m := n.scrape()
	return int64(m["go_memstats_heap_inuse_bytes"] + m["go_memstats_stack_inuse_bytes"])
}

// tool runs ffmpeg or ffprobe and gives what it writes. Without it the test is skipped, but in CI.
func tool(ctx context.Context, tb testing.TB, name string, args ...string) ([]byte, error) {
	tb.Helper()
	if _, err := exec.LookPath(name); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatalf("%s is missing: tools/deps.sh installs it", name)
		}
		tb.Skipf("%s is missing: tools/deps.sh installs it", name)
	}
	cmd := exec.CommandContext(ctx, name, append([]string{"-hide_banner", "-loglevel", "error"}, args...)...)
	var told bytes.Buffer
	cmd.Stderr = &told
	out, err := cmd.Output()
	if told.Len() > 0 {
		tb.Logf("%s %s: %.2000s", name, strings.Join(args, " "), told.String())
	}
	return out, err
}
