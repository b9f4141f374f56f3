// Package labtest runs tests in a network of their own.
package labtest

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/skua-go/skua/internal/netlab"
)

const inside = "SKUA_NETLAB"

// Isolated runs the test that calls it once more, in a process with a network of its own, and tells whether this is that one: only there may the test go on.
// Where the machine can't make networks the test is skipped, or fails with CI=true.
func Isolated(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inside) != "" {
		return true
	}
	pattern := "^" + strings.ReplaceAll(t.Name(), "/", "$/^") + "$"
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run="+pattern, "-test.v") //nolint:gosec // this very program
	cmd.Env = append(os.Environ(), inside+"=1")
	netlab.Isolate(cmd)
	out, err := cmd.CombinedOutput()
	var failed *exec.ExitError
	switch {
	case err == nil:
		t.Logf("%s", out)
	case !errors.As(err, &failed) && os.Getenv("CI") != "true":
		t.Skip("this machine makes no network namespaces: ", err)
	default:
		t.Fatalf("%v\n%s", err, out)
	}
	return false
}

// Open makes a link until the test ends.
func Open(t *testing.T, l netlab.Link, seed uint64) *netlab.Network {
	t.Helper()
	n, err := netlab.Open(l, seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}
