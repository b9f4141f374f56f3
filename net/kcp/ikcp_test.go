package kcp_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/skua-go/skua/net/kcp"
)

// reference builds a program on the reference implementation, which is a package of npm's. Where there is no gcc or npm, the test is skipped, or fails with
// CI=true.
func reference(t *testing.T) string {
	t.Helper()
	for _, tool := range []string{"gcc", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") == "true" {
				t.Fatalf("%s is missing", tool)
			}
			t.Skipf("%s is not installed: nothing to compare with", tool)
		}
	}
	dir := t.TempDir()
	for _, name := range []string{"package.json", "package-lock.json", "echo.c"} {
		data, err := os.ReadFile(filepath.Join("testdata", "ikcp", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	run := func(name string, args ...string) {
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			if name == "npm" && os.Getenv("CI") != "true" {
				t.Skipf("npm: %v\n%s", err, out)
			}
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
	}
	run("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	source := filepath.Join("node_modules", "node-kcp", "src", "kcp")
	run("gcc", "-O1", "-I", source, "-o", "echo", "echo.c", filepath.Join(source, "ikcp.c"))
	return filepath.Join(dir, "echo")
}

func TestTheReferenceUnderstandsUs(t *testing.T) {
	program := reference(t)
	for name, c := range map[string]struct {
		knobs []string // nodelay, interval, resend, nc, stream
		cfg   kcp.Config
		loss  float64
	}{
		"fast":     {[]string{"1", "10", "2", "1", "0"}, kcp.Config{}, 0.05},
		"default":  {[]string{"0", "100", "0", "0", "0"}, kcp.Config{}, 0},
		"stream":   {[]string{"1", "20", "2", "0", "1"}, must(kcp.Profile("thrifty")), 0.02},
		"ack late": {[]string{"1", "10", "2", "1", "1"}, kcp.Config{AckNoDelay: true, MTU: 576}, 0.05},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.cfg.Raw = true
			r := newRelay(t, echoServer(t, c.cfg), func(r *relay) { r.loss, r.duplicate, r.delay = c.loss, c.loss, 2*time.Millisecond })
			port := strconv.Itoa(r.front.LocalAddr().(*net.UDPAddr).Port)
			out, err := exec.CommandContext(t.Context(), program, append([]string{port, "287454020", "100000"}, c.knobs...)...).CombinedOutput()
			if want := fmt.Sprintf("ok %d\n", 100_000); err != nil || string(out) != want {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
}
