// Package ts_test runs the tests of the TypeScript client with npm, and against a real node.
package ts_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		nodetest.Cleanup()
		os.Exit(code)
	}))
}

// doors are the flags of nodes that WebSocket clients come to.
var doors = []string{"--listen-http", "127.0.0.1:0", "--listen-tcp", "off", "--listen-kcp", "off", "--admin", "off"}

// patience is how long npm, or the node, may take on a machine with much else to do.
const patience = 5 * time.Minute

// oldestNode is the oldest Node that runs the tests.
const oldestNode = 18

// TestTheTypeScriptClient runs what npm has to say of the client.
func TestTheTypeScriptClient(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	requireNode(ctx, t)
	install(ctx, t)
	t.Run("passes its tests, and those against a real node", func(t *testing.T) {
		cmd := exec.CommandContext(ctx, "npm", "test")
		cmd.Env = append(os.Environ(), "SKUA_URL="+startNode(t, filepath.Join("testdata", "node")))
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("npm test: %v\n%s", err, out)
		}
		for line := range strings.Lines(string(out)) {
			if strings.Contains(line, "times resumed") || strings.Contains(line, "# pass") || strings.Contains(line, "ℹ pass") {
				t.Log(strings.TrimSpace(line))
			}
		}
		if !strings.Contains(string(out), "times resumed") {
			t.Errorf("the tests against the node did not run:\n%s", out)
		}
	})
	t.Run("its example runs", func(t *testing.T) {
		url := startNode(t, filepath.Join("..", "..", "examples", "arena"))
		out, err := exec.CommandContext(ctx, "npm", "run", "--silent", "example", "--", url).Output()
		if err != nil {
			t.Fatalf("npm run example: %v\n%s", err, out)
		}
		for _, want := range []string{"state: connected", "step ", "refused with bad_request", "hello from Node", "state: closed"} {
			if !strings.Contains(string(out), want) {
				t.Errorf("the example does not say %q:\n%s", want, out)
			}
		}
	})
}

func TestTheReadmeShowsTheExampleAsItIs(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile(filepath.Join("examples", "walk.ts"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), "```ts\n"+string(example)+"```\n") {
		t.Error("README.md does not show examples/walk.ts as it is")
	}
}

// lacking skips the test, or fails it on the machine that has to run all of them.
func lacking(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

func requireNode(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, name := range []string{"node", "npm"} {
		if _, err := exec.LookPath(name); err != nil {
			lacking(t, "no %s on this machine: apt-get install npm", name)
		}
	}
	out, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		t.Fatalf("node --version: %v", err)
	}
	version := strings.TrimSpace(string(out))
	major, _, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	if n, err := strconv.Atoi(major); err != nil || n < oldestNode {
		lacking(t, "node %s, expected %d or newer", version, oldestNode)
	}
}

// install has npm fetch what package-lock.json pins, unless it has.
func install(ctx context.Context, t *testing.T) {
	t.Helper()
	lock, err := os.ReadFile("package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(lock)
	want, mark := hex.EncodeToString(sum[:]), filepath.Join("node_modules", ".skua-lock")
	if have, err := os.ReadFile(mark); err == nil && string(have) == want {
		return
	}
	out, err := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund").CombinedOutput()
	if err != nil {
		lacking(t, "npm ci: %v\n%s", err, out)
	}
	if err := os.WriteFile(mark, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// startNode runs a project until the test ends. The result is where its WebSocket clients connect.
func startNode(t *testing.T, project string) string {
	t.Helper()
	return "ws://" + nodetest.Start(t, project, append([]string{"--data", t.TempDir()}, doors...)...).Addr["http"] + "/ws"
}
